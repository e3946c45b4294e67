"""Metrics of images that count with weights: once each for scores, as often as drawn in resamples.

With image weights, precision at a detection is the weighted number of true positives up to it over
that of all detections up to it, and recall the former over the weighted number of objects (Efron's
bootstrap with images as the unit). All copies of a detection stand next to each other, so that the
metrics of a resample do not depend on how its images are numbered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sobench.data.dataset import FloatArray, IntArray
from sobench.metrics.matches import Int32Array, Matches, keep_first
from sobench.metrics.matching import TRUE, BoolArray
from sobench.metrics.precision import RECALL_POINTS, Scratch, average_precision
from sobench.metrics.table import Quantity

Asked = tuple[Quantity, int, int]
"""A quantity, the way to count (first axis of ``Matches.outcome``), and the limit of detections per
image and class; 0 for none."""


@dataclass(frozen=True)
class Weighted:
    """Metrics under B sets of image weights, NaN where no object counts.

    Attributes:
        metrics: name, as in ``score_metrics`` -> ``[B]``.
        per_class: name, as in ``class_metrics`` -> ``[B, K]``.
        holding: metric -> how many images of the whole split hold an object that counts in it.
        class_holding: ``[K]``, the same of each class.
        images: how many there are.
    """

    metrics: dict[str, FloatArray]
    per_class: dict[str, FloatArray]
    holding: dict[str, int]
    class_holding: IntArray
    images: int


def class_values(
    matches: Matches,
    weights: FloatArray,
    asked: Sequence[Asked],
    points: int = RECALL_POINTS,
    thresholds: slice = slice(None),
) -> dict[Asked, FloatArray]:
    """AP and AR ``[K, T, B]``; NaN without objects.

    Args:
        weights: ``[N, B]``, whole numbers from 0.
        points: as for ``average_precision``.
        thresholds: which of the second axis of ``Matches.outcome``.
    """
    number = len(range(*thresholds.indices(matches.outcome.shape[1])))
    shape = (len(matches.classes), number, weights.shape[1])
    values = {key: np.full(shape, np.nan) for key in asked}
    objects_of = np.tensordot(matches.num_objects, weights, (1, 0))  # [A, K, B]
    scratch = Scratch.of(weights.shape[1])
    bounds = np.searchsorted(matches.label, np.arange(len(matches.classes) + 1))
    for label, (low, high) in enumerate(pairwise(bounds.tolist())):
        image, rank = matches.image[low:high], matches.rank[low:high]
        for (quantity, way, limit), of_key in values.items():
            objects = objects_of[way, label]
            defined = objects > 0
            if not defined.any():
                continue
            outcome = matches.outcome[way, thresholds, low:high]
            outcome = keep_first(outcome, rank, limit) if limit else outcome
            if quantity == "AP":
                ap = average_precision(outcome, image, weights, objects, scratch, points)
                np.copyto(of_key[label], ap, where=defined)
            else:
                found = weighted_counts(outcome == TRUE, image, weights)
                np.divide(found, objects, out=of_key[label], where=defined)
    return values


def weighted_counts(flags: BoolArray, image: Int32Array, weights: FloatArray) -> FloatArray:
    """How many detections ``[T, D]`` on these images ``[D]`` are flagged, ``[T, B]``."""
    from scipy.sparse import csr_array

    threshold, which = np.nonzero(flags)
    shape = (len(flags), len(weights))
    per_image = csr_array((np.ones(len(which)), (threshold, image[which])), shape=shape)
    per_image.sum_duplicates()
    found: FloatArray = per_image @ weights
    return found


def mean_over_classes(values: FloatArray, shares: FloatArray | None = None) -> FloatArray:
    """The mean over the classes ``[K, B]`` that are defined, ``[B]``.

    Args:
        shares: ``[K, B]`` how much each class counts; alike if they are not given.
    """
    counts = ~np.isnan(values) * (1.0 if shares is None else shares)
    count = counts.sum(axis=0)
    total = (np.where(counts > 0, values, 0) * counts).sum(axis=0)
    mean = np.full(len(count), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
