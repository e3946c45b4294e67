"""Which objects some anchor of a row can meet, from sizes and strides alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np

from sobench.data.dataset import FloatArray
from sobench.data.statistics import by_side
from sobench.models.detector import Detector
from sobench.models.parts.anchors import AnchorLevel

IOU = 0.5
"""From which an anchor meets an object, as in the matching of most heads."""


@dataclass(frozen=True)
class Coverage:
    """The best IoU ``[N]`` of every object with any anchor.

    Attributes:
        smallest: side of the row's smallest anchor in pixels.
        own: with the row's anchors.
        resized: with anchors that are scaled so that the smallest is the suite's. Against a row
            with the suite's strides and sizes, this tells what finer strides alone give.
    """

    smallest: float
    own: FloatArray
    resized: FloatArray

    def by_side(self, boxes: FloatArray) -> dict[str, tuple[int, int]]:
        """Name in ``SIZE_BINS`` -> objects that the row's anchors meet, and all of its size.

        Args:
            boxes: those of ``coverage``.
        """
        sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
        return by_side(sides, self.own >= IOU)


def coverage(detector: Detector, boxes: FloatArray, smallest: float) -> Coverage | None:
    """The coverage of objects by a detector's anchors; ``None`` if its head does not name them.

    Args:
        boxes: ``[N, 4]`` ``x1, y1, x2, y2`` in pixels of the input.
        smallest: side in pixels of the suite's smallest anchor.
    """
    levels: Sequence[AnchorLevel] | None = getattr(detector.head, "anchor_levels", None)
    size: tuple[int, int] | None = getattr(getattr(detector.head, "config", None), "size", None)
    if levels is None or size is None:
        return None
    least = min(sqrt(w * h) for level in levels for w, h in level.shapes)
    factor = smallest / least
    resized = [
        replace(level, shapes=tuple((factor * w, factor * h) for w, h in level.shapes))
        for level in levels
    ]
    return Coverage(least, best_iou(levels, boxes, size), best_iou(resized, boxes, size))


def best_iou(levels: Sequence[AnchorLevel], boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    """``[N]`` IoU of every box with the anchor that overlaps it most.

    Of equal anchors the one whose centre is nearest in ``x`` and in ``y`` overlaps a box most, so
    no other need be looked at.

    Args:
        boxes: ``[N, 4]`` ``x1, y1, x2, y2`` in pixels of the input.
        size: height and width of the input.
    """
    best = np.zeros(len(boxes))
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for level in levels:
        cells = np.array([ceil(size[1] / level.stride), ceil(size[0] / level.stride)])
        nearest = np.clip(np.rint(centre / level.stride - level.offset), 0, cells - 1)
        position = (nearest + level.offset) * level.stride
        for shape in level.shapes:
            half = np.array(shape) / 2
            low, high = position - half, position + half
            overlap = np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2])
            shared = np.prod(np.clip(overlap, 0, None), axis=1)
            best = np.maximum(best, shared / (area + shape[0] * shape[1] - shared))
    return best
