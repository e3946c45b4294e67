"""Counts of the images, objects and ignore regions of a dataset, and the sizes of its objects."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import EVERY_CLASS, Dataset, FloatArray
from sobench.data.resize import resize_geometry
from sobench.suite.input import Input
from sobench.suite.protocols import INFINITE_AREA, Protocol

# Sides in pixels: the bins of AI-TOD (Wang et al., ICPR 2020), and COCO's 96 above them.
SIZE_EDGES = (8, 16, 32, 96)
SIZE_BINS = ("<8", "8-16", "16-32", "32-96", ">=96")


@dataclass(frozen=True)
class Statistics:
    """Counts of a split.

    Attributes:
        images: number of images.
        boxes: number of objects.
        boxes_by_class: class name -> objects, in the order of the labels.
        ignore_all_classes: ignore regions that concern every class.
        ignore_one_class: ignore regions that hide one class.
        skipped: annotations that the reader left out.
        notes: counts that the reader made, by description.
        boxes_per_image: smallest, median and largest number of objects in an image.
        images_without_boxes: images without any object.
    """

    images: int
    boxes: int
    boxes_by_class: dict[str, int]
    ignore_all_classes: int
    ignore_one_class: int
    skipped: int
    notes: dict[str, int]
    boxes_per_image: tuple[int, float, int]
    images_without_boxes: int


@dataclass(frozen=True)
class Objects:
    """All objects of a split, in pixels of the original images or of the input.

    Attributes:
        boxes: ``[N, 4]`` ``x1, y1, x2, y2``.
        areas: ``[N]`` square pixels, as the annotations state them.
    """

    boxes: FloatArray
    areas: FloatArray

    @property
    def sides(self) -> FloatArray:
        """``[N]`` square roots of the areas."""
        return np.sqrt(self.areas)


def objects(dataset: Dataset, settings: Input | None = None) -> Objects:
    """The objects of a dataset with at least one image.

    Args:
        settings: of the input in whose pixels they are measured; ``None`` for the original images.
    """
    boxes = [image.boxes for image in dataset.images]
    areas = [image.areas for image in dataset.images]
    if settings is not None:
        scales = [resize_geometry(settings, image.size).scale for image in dataset.images]
        boxes = [b * np.array(scale * 2) for b, scale in zip(boxes, scales, strict=True)]
        areas = [a * (x * y) for a, (x, y) in zip(areas, scales, strict=True)]
    return Objects(np.concatenate(boxes), np.concatenate(areas))


def by_bin(protocol: Protocol, found: Objects) -> dict[str, int]:
    """Bin of a protocol -> objects in it, counted as in scoring.

    A bin of areas holds both of its ends, a bin of longest sides only the lower one.
    """
    if protocol.sides:
        longest = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1, initial=0)
        return {
            name: int(np.count_nonzero((low <= longest) & (longest < high)))
            for name, (low, high) in protocol.sides.items()
        }
    return {
        name: int(np.count_nonzero((low <= found.areas) & (found.areas <= high)))
        for name, (low, high) in protocol.bins.items()
    }


def bin_sides(protocol: Protocol) -> dict[str, str]:
    """Bin of a protocol -> its range in words, as sides in pixels."""

    def words(low: float, high: float) -> str:
        if high >= INFINITE_AREA:
            return f">={sqrt(low):.3g}"
        return f"{sqrt(low):.3g}-{sqrt(high):.3g}" if low else f"<={sqrt(high):.3g}"

    if protocol.sides:
        return {name: f"longest {low:g}-{high:g}" for name, (low, high) in protocol.sides.items()}
    return {name: words(*ends) for name, ends in protocol.bins.items()}


def by_side(sides: FloatArray, counted: NDArray[np.bool_]) -> dict[str, tuple[int, int]]:
    """Name in ``SIZE_BINS`` -> those of ``[N]`` objects that are counted, and all of its size."""
    bins = np.digitize(sides, SIZE_EDGES)
    return {
        name: (int(np.count_nonzero(counted & (bins == i))), int(np.count_nonzero(bins == i)))
        for i, name in enumerate(SIZE_BINS)
    }


def describe(dataset: Dataset) -> Statistics:
    """The statistics of a dataset with at least one image."""
    per_image = np.asarray([len(image.boxes) for image in dataset.images])
    labels = np.concatenate([image.labels for image in dataset.images])
    ignore_labels = np.concatenate([image.ignore_labels for image in dataset.images])
    by_label = np.bincount(labels, minlength=len(dataset.classes)).tolist()
    # A sum, because two classes may have the same name.
    by_class: Counter[str] = Counter()
    for name, count in zip(dataset.classes, by_label, strict=True):
        by_class[name] += count
    ignored_for_all = int(np.count_nonzero(ignore_labels == EVERY_CLASS))
    return Statistics(
        images=len(dataset.images),
        boxes=len(labels),
        boxes_by_class=dict(by_class),
        ignore_all_classes=ignored_for_all,
        ignore_one_class=len(ignore_labels) - ignored_for_all,
        skipped=len(dataset.skipped),
        notes=dict(dataset.notes or {}),
        boxes_per_image=(int(per_image.min()), float(np.median(per_image)), int(per_image.max())),
        images_without_boxes=int(np.count_nonzero(per_image == 0)),
    )
