"""Which detection takes which object: COCO's greedy matching, all thresholds and areas at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import FloatArray, IntArray

BoolArray = NDArray[np.bool_]

IOU_THRESHOLDS: FloatArray = np.linspace(0.5, 0.95, 10)
"""The thresholds of COCO's AP and AR; their last bits are those of pycocotools."""

_BLOCK = 2**14
"""Pairs whose overlaps are computed at once; more take more memory."""

TRUE, FALSE, IGNORED = 1, 0, -1
"""Outcomes of a detection."""


@dataclass(frozen=True)
class Pairs:
    """Detections with objects or crowd regions that overlap enough for the lowest threshold.

    Attributes:
        detection, truth: ``[P]`` the two of each pair; the pairs of a detection follow each other,
            the one that it prefers first.
        iou: ``[P]`` intersection over union, or over the detection's area for a crowd region.
    """

    detection: IntArray
    truth: IntArray
    iou: FloatArray


def overlaps(boxes: FloatArray, truth: FloatArray, crowd: BoolArray) -> FloatArray:
    """Intersection over union ``[D, G]``, over the detection's area alone for crowd regions.

    Args:
        boxes: ``[D, 4]`` ``x, y, w, h``.
        truth: ``[G, 4]`` of the same form.
        crowd: ``[G]``.
    """
    return _overlaps(boxes[:, None], truth[None], crowd)


def _overlaps(boxes: FloatArray, truth: FloatArray, crowd: BoolArray) -> FloatArray:
    """The same of boxes ``[..., 4]`` and ``[..., 4]`` that are broadcast to one shape."""
    low = np.maximum(boxes[..., :2], truth[..., :2])
    high = np.minimum(boxes[..., 2:] + boxes[..., :2], truth[..., 2:] + truth[..., :2])
    width, height = (high - low)[..., 0], (high - low)[..., 1]
    meets = (width > 0) & (height > 0)
    intersection = width * height
    area = boxes[..., 2] * boxes[..., 3]
    union = np.where(crowd, area, area + truth[..., 2] * truth[..., 3] - intersection)
    shares: FloatArray = np.divide(intersection, union, out=np.zeros_like(union), where=meets)
    return shares


def find_pairs(
    cells: IntArray, boxes: FloatArray, truth_cells: IntArray, truth: FloatArray, crowd: BoolArray
) -> Pairs:
    """All pairs within a cell, which is one class in one image.

    Args:
        cells: ``[D]`` cell of each detection, rising.
        boxes: ``[D, 4]`` ``x, y, w, h``.
        truth_cells: ``[G]`` cell of each object or crowd region, in any order.
        truth: ``[G, 4]``.
        crowd: ``[G]``.
    """
    order = np.argsort(truth_cells, kind="stable")
    low, high = (np.searchsorted(truth_cells[order], cells, side) for side in ("left", "right"))
    detections, truths = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    ious = [np.empty(0)]
    for first, last in _blocks(high - low):
        # Each detection with every annotation of its cell, all cells at once.
        counts = (high - low)[first:last]
        detection = np.repeat(np.arange(first, last), counts)
        starts = low[first:last] - np.cumsum(counts) + counts
        object_ = order[np.arange(len(detection)) + np.repeat(starts, counts)]
        iou = _overlaps(boxes[detection], truth[object_], crowd[object_])
        kept = iou >= IOU_THRESHOLDS[0]
        detections.append(detection[kept])
        truths.append(object_[kept])
        ious.append(iou[kept])
    detection, object_ = np.concatenate(detections), np.concatenate(truths)
    shares = np.concatenate(ious)
    # A detection prefers the greatest overlap and, of equal ones, the last object.
    preferred = np.lexsort((-object_, -shares, detection))
    return Pairs(detection[preferred], object_[preferred], shares[preferred])


def _blocks(counts: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of detections that have about ``_BLOCK`` pairs each."""
    block = np.cumsum(counts) // _BLOCK
    bounds = np.flatnonzero(np.diff(block)) + 1
    return pairwise([0, *bounds.tolist(), len(counts)])


def shared_cells(cells: IntArray, truth_cells: IntArray) -> Iterator[tuple[int, int, IntArray]]:
    """The cells with detections and annotations: the first and last detection, and the annotations.

    Args:
        cells: ``[D]`` cell of each detection, rising.
        truth_cells: ``[G]`` cell of each annotation, in any order.
    """
    order = np.argsort(truth_cells, kind="stable")
    sorted_cells = truth_cells[order]
    both = np.intersect1d(cells, sorted_cells)
    bounds = [np.searchsorted(of, both, side) for of in (cells, sorted_cells)
              for side in ("left", "right")]  # fmt: skip
    for first, last, low, high in zip(*(bound.tolist() for bound in bounds), strict=True):
        yield first, last, order[low:high]


def match_greedily(
    cells: IntArray, pairs: Pairs, ignored: BoolArray, crowd: BoolArray
) -> tuple[IntArray, IntArray]:
    """Let each detection take the best object that is still free, the surest detection first.

    An object that counts goes before any that is ignored, whatever their overlaps; crowd regions
    are never used up. Cells do not touch one another, so the first detections of all cells take
    their objects at once, then the second ones, and so on.

    Args:
        cells: ``[D]`` cell of each detection, rising, and by falling score within a cell.
        pairs: from ``find_pairs``.
        ignored: ``[G, A]`` objects that do not count in an area, and crowd regions.
        crowd: ``[G]``.

    Returns:
        The detections with a pair ``[M]``, and what each takes ``[M, A, T]``, -1 for nothing.
    """
    areas, thresholds = ignored.shape[1], len(IOU_THRESHOLDS)
    paired, first, counts = np.unique(pairs.detection, return_index=True, return_counts=True)
    taken = np.full((len(paired), areas, thresholds), -1, np.int64)
    used = np.zeros((len(ignored), areas, thresholds), np.bool_)
    for turn in _turns(cells[paired]):
        real = np.full((len(turn), areas, thresholds), -1, np.int64)
        other = real.copy()
        for choice in range(int(counts[turn].max())):
            has = np.flatnonzero(counts[turn] > choice)
            pair = first[turn[has]] + choice
            object_ = pairs.truth[pair]
            free = ~used[object_] | crowd[object_, None, None]
            free &= pairs.iou[pair, None, None] >= IOU_THRESHOLDS
            of_ignored = ignored[object_][:, :, None]
            for best, fits in ((real, free & ~of_ignored), (other, free & of_ignored)):
                best[has] = np.where((best[has] < 0) & fits, object_[:, None, None], best[has])
        taken[turn] = np.where(real >= 0, real, other)
        _, area, threshold = np.nonzero(taken[turn] >= 0)
        used[taken[turn][taken[turn] >= 0], area, threshold] = True
    return paired, taken


def _turns(cells: IntArray) -> list[IntArray]:
    """The first of each cell, then the second ones, and so on; cells rise."""
    if not len(cells):
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(cells)) + 1])
    turn = np.arange(len(cells)) - np.repeat(starts, np.diff(np.append(starts, len(cells))))
    order = np.argsort(turn, kind="stable")
    return np.split(order, np.cumsum(np.bincount(turn))[:-1])
