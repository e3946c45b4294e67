"""The dataset contract: every reader returns it, whatever the layout on disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ImageArray = NDArray[np.uint8]


class Images(Protocol):
    """Resized images ``[h, w, 3]`` uint8 by their index: the image cache, or what is in memory.

    They need no padding: batches cut an image out of the top left corner and add what they need.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> ImageArray: ...


Size = tuple[int, int]
"""Height and width in pixels, in this order everywhere."""

EVERY_CLASS = -1
"""Label of an ignore region that concerns all classes."""


@dataclass(frozen=True)
class AnnotatedImage:
    """One image and its annotations, in pixels of the original image.

    Attributes:
        id: the image id of the annotation file, or the 1-based position in the split.
        name: the image file, relative to the image folder or as its bare name.
        width, height: pixels, after the orientation tag has been obeyed.
        boxes: ``[G, 4]`` ``x1, y1, x2, y2`` of the objects; may reach slightly out of the image.
        labels: ``[G]`` in ``0..K-1``.
        areas: ``[G]`` square pixels: the area that the annotation states, or that of the box.
        ignore: ``[I, 4]`` regions that are neither object nor background.
        ignore_labels: ``[I]`` the class a region hides, or ``EVERY_CLASS``.
    """

    id: int
    name: str
    width: int
    height: int
    boxes: FloatArray
    labels: IntArray
    areas: FloatArray
    ignore: FloatArray
    ignore_labels: IntArray

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.height, self.width


@dataclass(frozen=True)
class SkippedRow:
    """An annotation that a reader left out, and the reason."""

    file: str
    row: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """One split in memory; its pixels are read image by image.

    Attributes:
        title: format and split, for messages and tables.
        classes: names, indexed by label.
        category_ids: the id of each class in the annotation files, as detections are stored.
        images: in the reader's order, which is the same on every machine.
        read_image: index -> ``[H, W, 3]`` uint8 RGB; raises ``DataError`` for a broken file.
        skipped: annotations that were left out because they cannot be used.
        notes: counts for the user, such as ignored regions or dropped categories.
    """

    title: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    images: tuple[AnnotatedImage, ...]
    read_image: Callable[[int], ImageArray]
    skipped: tuple[SkippedRow, ...] = ()
    notes: Counter[str] | None = None

    def first(self, limit: int | None) -> Dataset:
        """The first ``limit`` images, or all of them for ``None``."""
        if limit is None or limit >= len(self.images):
            return self
        return replace(self, images=self.images[:limit])

    def without_ignore_regions(self) -> Dataset:
        """The same images, in which what were ignore regions is background."""
        no_boxes, no_labels = as_boxes([]), as_labels([])
        images = (replace(x, ignore=no_boxes, ignore_labels=no_labels) for x in self.images)
        return replace(self, images=tuple(images))


def ids_digest(dataset: Dataset) -> str:
    """A hash by which two people see that they have the same images, in whatever order.

    It is the first 16 hexadecimal digits of the SHA-256 of the image ids, written as decimal
    numbers in rising order with a line feed between them.
    """
    ids = sorted(image.id for image in dataset.images)
    return hashlib.sha256("\n".join(map(str, ids)).encode()).hexdigest()[:16]


def as_boxes(boxes: list[tuple[float, float, float, float]]) -> FloatArray:
    """``[N, 4]`` from a possibly empty list of boxes."""
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def as_labels(labels: list[int]) -> IntArray:
    """``[N]`` from a possibly empty list of class indices."""
    return np.asarray(labels, dtype=np.int64)
