"""Metrics of resampled images: images count as often as they are drawn, nothing is matched again.

With image weights, precision at a detection is the weighted number of true positives up to it over
that of all detections up to it, and recall the former over the weighted number of objects (Efron's
bootstrap with images as the unit). All copies of a detection stand next to each other, so that the
metrics of a resample do not depend on how its images are numbered.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sobench.compare.precision import Scratch, average_precision
from sobench.data.dataset import FloatArray, IntArray
from sobench.metrics.coco import IOU_SLICES
from sobench.metrics.matches import Int8Array, Int32Array, Matches
from sobench.metrics.matching import IOU_THRESHOLDS, TRUE
from sobench.metrics.table import ALL_AREAS, Quantity, score_metrics
from sobench.suite.protocols import PROTOCOLS, Protocol

RESAMPLES = 1000
"""As many as give the ends of a 95 % interval to about a twentieth of its width."""

PER_CLASS = ("AP", "AP50", "AP75", "AR")
"""What is known of each class, over all areas at the last limit of detections."""

_BLOCK = 1000
"""Resamples that are worked on at once: more take more memory, fewer more time each."""


@dataclass(frozen=True)
class Resampled:
    """Metrics of B resamples, NaN where a resample has no object.

    Attributes:
        metrics: name, as in ``score_metrics`` -> ``[B]``.
        per_class: ``AP``, ``AP50``, ``AP75``, ``AR`` -> ``[B, K]``, all areas at the last limit.
        holding: metric -> how many images of the whole split hold an object that counts in it.
        class_holding: ``[K]``, the same of each class.
    """

    metrics: dict[str, FloatArray]
    per_class: dict[str, FloatArray]
    holding: dict[str, int]
    class_holding: IntArray


def draw_weights(images: int, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """How often each image is drawn ``[N, B]``; N draws with replacement for each resample.

    The first resamples are the same whatever their number, so that more of them refine a result.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, max(images, 1), (resamples, images))
    counts = [np.bincount(row, minlength=images) for row in drawn]
    return np.array(counts, np.float64).reshape(resamples, images).T.copy()


def resample(matches: Matches, weights: FloatArray) -> Resampled:
    """All metrics of the protocol for each column of weights ``[N, B]``, whole numbers from 0.

    Weights of one give the metrics of the whole split. What is returned depends on nothing else.
    """
    blocks = [
        _resample(matches, np.ascontiguousarray(weights[:, first : first + _BLOCK]))
        for first in range(0, max(weights.shape[1], 1), _BLOCK)
    ]
    return Resampled(
        {name: np.concatenate([block.metrics[name] for block in blocks])
         for name in blocks[0].metrics},
        {name: np.concatenate([block.per_class[name] for block in blocks])
         for name in blocks[0].per_class},
        blocks[0].holding,
        blocks[0].class_holding,
    )  # fmt: skip


def _resample(matches: Matches, weights: FloatArray) -> Resampled:
    protocol = PROTOCOLS[matches.protocol]
    areas, last = [ALL_AREAS, *protocol.bins], protocol.max_dets[-1]
    values = _values(matches, weights, protocol)
    holds = matches.num_objects > 0  # [A, N, K]
    of_areas = holds.any(axis=2).sum(axis=1).tolist()
    metrics, per_class, holding = {}, {}, {}
    for metric in score_metrics(protocol):
        key = (metric.quantity, areas.index(metric.area), metric.max_dets)
        of_classes = values[key][:, IOU_SLICES[metric.iou]].mean(axis=1)  # [K, B]
        metrics[metric.name] = _mean(of_classes)
        holding[metric.name] = of_areas[areas.index(metric.area)]
        if metric.area == ALL_AREAS and metric.max_dets == last:
            per_class[metric.name.partition("@")[0]] = of_classes.T
    return Resampled(metrics, per_class, holding, holds[0].sum(axis=0))


def _values(
    matches: Matches, weights: FloatArray, protocol: Protocol
) -> dict[tuple[Quantity, int, int], FloatArray]:
    """AP and AR ``[K, T, B]`` by quantity, area and limit; NaN without objects."""
    areas, limits = 1 + len(protocol.bins), protocol.max_dets
    asked: list[tuple[Quantity, int, int]]
    asked = [("AP", area, limits[-1]) for area in range(areas)]
    asked += [("AR", 0, limit) for limit in limits]
    asked += [("AR", area, limits[-1]) for area in range(1, areas)]
    shape = (len(matches.classes), len(IOU_THRESHOLDS), weights.shape[1])
    values: dict[tuple[Quantity, int, int], FloatArray]
    values = {key: np.full(shape, np.nan) for key in asked}
    objects_of = np.tensordot(matches.num_objects, weights, (1, 0))  # [A, K, B]
    scratch = Scratch.of(weights.shape[1])
    bounds = np.searchsorted(matches.label, np.arange(len(matches.classes) + 1))
    for label, (low, high) in enumerate(pairwise(bounds.tolist())):
        image, rank = matches.image[low:high], matches.rank[low:high]
        for area in range(areas):
            objects = objects_of[area, label]
            outcome, defined = matches.outcome[area, :, low:high], objects > 0
            if defined.any():
                ap = average_precision(outcome, image, weights, objects, scratch)
                np.copyto(values["AP", area, limits[-1]][label], ap, where=defined)
            for limit in limits if area == 0 else limits[-1:]:
                ar = values["AR", area, limit][label]
                found = _found(outcome, image, rank < limit, weights)
                np.divide(found, objects, out=ar, where=defined)
    return values


def _found(
    outcome: Int8Array, image: Int32Array, kept: NDArray[np.bool_], weights: FloatArray
) -> FloatArray:
    """How many objects are found at each threshold, ``[T, B]``."""
    from scipy.sparse import csr_array

    threshold, which = np.nonzero((outcome == TRUE) & kept)
    shape = (len(outcome), len(weights))
    per_image = csr_array((np.ones(len(which)), (threshold, image[which])), shape=shape)
    per_image.sum_duplicates()
    found: FloatArray = per_image @ weights
    return found


def _mean(values: FloatArray) -> FloatArray:
    """The mean over the classes ``[K, B]`` that are defined, ``[B]``."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    total = np.where(defined, values, 0).sum(axis=0)
    mean = np.full(len(count), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
