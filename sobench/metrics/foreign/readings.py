"""Are the boxes what they are taken for? Other readings of them, held against the objects.

Boxes of another order or scale, and classes that are counted from another number, give low scores
without any error, so that a good detector looks bad. They are told by their place in the images, or
by the objects that they would meet if they were read in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sobench.data.dataset import Dataset, FloatArray, IntArray
from sobench.errors import DataError
from sobench.metrics.foreign.rows import ForeignRows

Reading = Callable[[FloatArray, FloatArray], FloatArray]
"""Boxes ``[N, 4]`` as they stand and sizes of their images ``[N, 2]`` (width, height) -> ``x, y, w,
h`` in pixels."""

_IMAGES, _BOXES = 150, 60
"""Images that are looked at, and boxes of each, those with the highest scores."""

_FEWEST = 5
"""Boxes from which their place says something."""

_WITHIN = 1.5
"""No coordinate of fractions is larger."""

_LEAVING = 1.05
"""Of the side of an image: boxes that end beyond it leave the image clearly."""

_HALF, _NEARLY_ALL = 0.5, 0.9

_FOUND, _NOT_FOUND = 0.2, 0.1
"""Shares of the objects that another reading must meet at least, and this one at most."""

_IOU = 0.5
_FACTORS = (0.25, 0.5, 2.0, 4.0)
_INPUTS = (300, 320, 416, 512, 608, 640, 768, 800, 1024, 1280, 1536)
"""Usual sides of a square input in pixels."""


@dataclass(frozen=True)
class _Sample:
    """The surest boxes and the objects of some images, image by image.

    Attributes:
        boxes, objects: ``[n, 4]`` ``x, y, w, h`` as they stand, and ``[m, 4]`` corners in pixels.
        labels, classes: of the boxes ``[n]`` and of the objects ``[m]``.
        sizes: width and height.
    """

    boxes: list[FloatArray]
    objects: list[FloatArray]
    labels: list[IntArray]
    classes: list[IntArray]
    sizes: list[FloatArray]

    def share_met(self, reading: Reading) -> float:
        """The share of the objects that a box of any class meets if boxes are read so."""
        met = total = 0
        for boxes, objects, size in zip(self.boxes, self.objects, self.sizes, strict=True):
            read = reading(boxes, np.broadcast_to(size, (len(boxes), 2)))
            met += int((_iou(objects, read).max(axis=1) >= _IOU).sum())
            total += len(objects)
        return met / total if total else 0.0

    def share_of_class(self, shift: int) -> float:
        """The share that a box meets whose class is the object's if ``shift`` is added to it."""
        met = total = 0
        columns = zip(self.boxes, self.objects, self.labels, self.classes, strict=True)
        for boxes, objects, labels, classes in columns:
            fits = classes[:, None] == labels[None] + shift
            met += int(((_iou(objects, boxes) >= _IOU) & fits).any(axis=1).sum())
            total += len(objects)
        return met / total if total else 0.0


def check_reading(
    rows: ForeignRows, boxes: FloatArray, image: IntArray, label: IntArray, dataset: Dataset
) -> None:
    """Refuse boxes that are clearly of another order or scale, and classes that are shifted.

    Args:
        rows: for their places, and the scores.
        boxes: ``[N, 4]`` ``x, y, w, h``, to be in pixels of the original images.
        image, label: ``[N]`` positions of their images and classes.
        dataset: with its objects.

    Raises:
        DataError: saying what they look like.
    """
    if not len(boxes):
        return
    where = str(rows.files[0]) if len(rows.files) == 1 else str(rows.files[0].parent)
    wh = np.array([(x.width, x.height) for x in dataset.images], np.float64)[image]
    ends = boxes[:, :2] + boxes[:, 2:]
    if not rows.are_fractions and ends.max() <= _WITHIN < wh.min():
        raise DataError(
            f"{where}: every box is within {_WITHIN:g} px of the upper left corner: these are "
            "fractions of the image; multiply them by its width and height"
        )
    leaving = float((ends > _LEAVING * wh).any(axis=1).mean())
    like_corners = (boxes[:, 2:] >= boxes[:, :2]) & (boxes[:, 2:] <= _LEAVING * wh)
    is_many = len(boxes) >= _FEWEST
    if is_many and leaving > _HALF and like_corners.all(axis=1).mean() > _NEARLY_ALL:
        raise DataError(
            f"{where}: {100 * leaving:.0f} % of the boxes leave their images at the right or the "
            "bottom: they look like [x1, y1, x2, y2] and are read as [x, y, w, h]"
        )
    sample = _sample(rows.scores, boxes, image, label, dataset)
    if told := _better_reading(sample) or _better_classes(sample):
        raise DataError(f"{where}: {told}")
    outside = float(((boxes[:, :2] >= wh) | (ends <= 0)).any(axis=1).mean())
    if is_many and outside > _HALF:
        reach = " x ".join(f"{side:.0f}" for side in ends.max(axis=0))
        images = " x ".join(f"{side:.0f}" for side in wh.max(axis=0))
        raise DataError(
            f"{where}: {100 * outside:.0f} % of the boxes lie outside of their images, which have "
            f"up to {images} px while boxes reach to {reach}: give pixels of the original images"
        )


def _sample(
    scores: FloatArray, boxes: FloatArray, image: IntArray, label: IntArray, dataset: Dataset
) -> _Sample:
    """Images with boxes and objects, spread evenly over the data set."""
    order = np.lexsort((-scores, image))
    sorted_images = image[order]
    detected = np.unique(sorted_images)
    candidates = [int(i) for i in detected if len(dataset.images[i].boxes)]
    chosen = candidates[:: -(-len(candidates) // _IMAGES) or 1]
    starts = np.searchsorted(sorted_images, chosen, "left")
    ends = np.searchsorted(sorted_images, chosen, "right")
    taken = [order[a : min(b, a + _BOXES)] for a, b in zip(starts, ends, strict=True)]
    return _Sample(
        [boxes[indices] for indices in taken],
        [dataset.images[i].boxes for i in chosen],
        [label[indices] for indices in taken],
        [dataset.images[i].labels for i in chosen],
        [np.array([dataset.images[i].width, dataset.images[i].height], float) for i in chosen],
    )


def _better_reading(sample: _Sample) -> str:
    """What the boxes are, if another reading meets objects and this one does not; else empty."""
    if not sample.boxes or sample.share_met(_as_given) > _NOT_FOUND:
        return ""
    given = sample.share_met(_as_given)
    shares = {told: sample.share_met(reading) for told, reading in _readings()}
    told = max(shares, key=lambda text: shares[text])
    if shares[told] < max(_FOUND, 3 * given):
        return ""
    return (
        f"the boxes meet {100 * given:.0f} % of the objects as they stand, and "
        f"{100 * shares[told]:.0f} % if they are {told}"
    )


def _better_classes(sample: _Sample) -> str:
    """That classes are counted from another number, if the boxes then fit; else empty."""
    given = sample.share_of_class(0)
    if given > _NOT_FOUND:
        return ""
    for shift, way in ((1, "higher"), (-1, "lower")):
        share = sample.share_of_class(shift)
        if share >= max(_FOUND, 3 * given):
            return (
                f"the boxes meet {100 * given:.0f} % of the objects with their class, and "
                f"{100 * share:.0f} % if every class is the next {way} one: the tool counts "
                "classes from another number"
            )
    return ""


def _readings() -> Iterator[tuple[str, Reading]]:
    """Other readings, in words for a message."""
    yield "[x1, y1, x2, y2]; give [x, y, x2 - x1, y2 - y1]", _corners
    yield "[cx, cy, w, h]; give [cx - w / 2, cy - h / 2, w, h]", _centres
    yield "fractions [x1, y1, x2, y2] of the image", lambda b, wh: _corners(_times(b, wh), wh)
    yield "fractions [cx, cy, w, h] of the image", lambda b, wh: _centres(_times(b, wh), wh)
    for factor in _FACTORS:
        yield f"multiplied by {factor:g}", _scaled(factor)
    for side in _INPUTS:
        yield (
            f"pixels of an input stretched to {side}x{side}; multiply x by width / {side} and y by "
            f"height / {side}",
            _stretched(side),
        )
        yield (
            f"pixels of an input whose longer side is {side}; multiply by the longer side / {side}",
            _fitted(side, 0.0),
        )
        yield (
            f"pixels of an input of {side}x{side} with the image in its middle (letterbox); take "
            f"away the border and multiply by the longer side / {side}",
            _fitted(side, 0.5),
        )


def _as_given(boxes: FloatArray, wh: FloatArray) -> FloatArray:
    del wh
    return boxes


def _corners(boxes: FloatArray, wh: FloatArray) -> FloatArray:
    del wh
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _centres(boxes: FloatArray, wh: FloatArray) -> FloatArray:
    del wh
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _times(boxes: FloatArray, wh: FloatArray) -> FloatArray:
    scaled: FloatArray = boxes * np.concatenate([wh, wh], axis=1)
    return scaled


def _scaled(factor: float) -> Reading:
    return lambda boxes, wh: _times(boxes, np.full_like(wh, factor))


def _stretched(side: int) -> Reading:
    return lambda boxes, wh: _times(boxes, wh / side)


def _fitted(side: int, place: float) -> Reading:
    """The image in a square of this side, at its start (0) or in its middle (.5)."""

    def reading(boxes: FloatArray, wh: FloatArray) -> FloatArray:
        scale = wh.max(axis=1, keepdims=True) / side
        border = place * (side - wh / scale)
        moved = np.concatenate([boxes[:, :2] - border, boxes[:, 2:]], axis=1)
        return _times(moved, np.broadcast_to(scale, wh.shape))

    return reading


def _iou(objects: FloatArray, boxes: FloatArray) -> FloatArray:
    """``[m, n]`` of corners with ``x, y, w, h``; 0 for what has no size."""
    low = np.maximum(objects[:, None, :2], boxes[None, :, :2])
    high = np.minimum(objects[:, None, 2:], (boxes[:, :2] + boxes[:, 2:])[None])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = np.prod(objects[:, 2:] - objects[:, :2], axis=1)
    union = areas[:, None] + np.prod(np.clip(boxes[:, 2:], 0, None), axis=1)[None] - shared
    iou: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou
