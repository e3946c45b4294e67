"""Metrics of resampled images: images count as often as they are drawn, nothing is matched again.

With image weights, precision at a detection is the weighted number of true positives up to it over
that of all detections up to it, and recall the former over the weighted number of objects (Efron's
bootstrap with images as the unit). All copies of a detection stand next to each other, so that the
metrics of a resample do not depend on how its images are numbered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sobench.data.dataset import FloatArray
from sobench.metrics.matches import Int8Array, Int32Array, Matches
from sobench.metrics.table import ALL_AREAS, score_metrics
from sobench.suite.protocols import PROTOCOLS

RESAMPLES = 1000


@dataclass(frozen=True)
class Resampled:
    """Metrics of B resamples, NaN where a resample has no object.

    Attributes:
        metrics: name, as in ``score_metrics`` -> ``[B]``.
        per_class: ``AP``, ``AP50``, ``AP75``, ``AR`` -> ``[B, K]``, all areas at the last limit.
    """

    metrics: dict[str, FloatArray]
    per_class: dict[str, FloatArray]


def draw_weights(images: int, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """How often each image is drawn ``[N, B]``; N draws with replacement for each resample.

    The first resamples are the same whatever their number, so that more of them refine a result.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, max(images, 1), (resamples, images))
    counts = [np.bincount(row, minlength=images) for row in drawn]
    return np.array(counts, np.float64).reshape(resamples, images).T.copy()


def resample(matches: Matches, weights: FloatArray) -> Resampled:
    """All metrics of the protocol for each column of weights ``[N, B]``, whole numbers from 0."""
    protocol = PROTOCOLS[matches.protocol]
    areas, limits = [ALL_AREAS, *protocol.bins], protocol.max_dets
    thresholds = {"0.50": slice(0, 1), "0.75": slice(5, 6), "mean": slice(None)}
    objects = np.einsum("ank,nb->akb", matches.num_objects, weights)
    precision = np.full((len(areas), len(matches.classes), 10, weights.shape[1]), np.nan)
    recall = np.full((len(limits), *precision.shape), np.nan)
    for label in range(len(matches.classes)):
        here = matches.label == label
        image, rank, outcomes = matches.image[here], matches.rank[here], matches.outcome[..., here]
        for area in range(len(areas)):
            total = objects[area, label]
            for threshold in range(10):
                outcome = outcomes[area, threshold]
                precision[area, label, threshold] = _ap(outcome, image, weights, total)
                for number, limit in enumerate(limits):
                    true = image[(outcome == 1) & (rank < limit)]
                    found = weights[true].sum(axis=0)
                    with np.errstate(invalid="ignore"):
                        recall[number, area, label, threshold] = np.where(
                            total > 0, found / total, np.nan
                        )
    metrics, per_class = {}, {}
    for metric in score_metrics(protocol):
        area = areas.index(metric.area)
        values = (
            precision[area]
            if metric.quantity == "AP"
            else recall[limits.index(metric.max_dets), area]
        )[:, thresholds[metric.iou]].mean(axis=1)
        metrics[metric.name] = _mean(values)
        if metric.area == ALL_AREAS and metric.max_dets == limits[-1]:
            per_class[metric.name.partition("@")[0]] = values.T
    return Resampled(metrics, per_class)


def _mean(values: FloatArray) -> FloatArray:
    """The mean over classes ``[K, B]`` that are defined."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    total = np.where(defined, values, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _ap(
    outcome: Int8Array, image: Int32Array, weights: FloatArray, total: FloatArray
) -> FloatArray:
    counted = outcome >= 0
    w = weights[image[counted]]
    true = (outcome[counted] == 1)[:, None]
    tp = np.cumsum(w * true, axis=0)
    precision = tp / (np.cumsum(w, axis=0) + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    thresholds = np.linspace(0, 1, 101)
    ap = np.full(weights.shape[1], np.nan)
    for b in np.flatnonzero(total):
        at = np.searchsorted(tp[:, b] / total[b], thresholds)
        ap[b] = np.append(envelope[:, b], 0)[at].mean()
    return ap
