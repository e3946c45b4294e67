"""Counts of the images, objects and ignore regions of a dataset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import EVERY_CLASS, Dataset, FloatArray

# Sides in pixels: the bins of AI-TOD (Wang et al., ICPR 2020), and COCO's 96 above them.
SIZE_EDGES = (8, 16, 32, 96)
SIZE_BINS = ("<8", "8-16", "16-32", "32-96", ">=96")


@dataclass(frozen=True)
class Statistics:
    """Counts of a split. A side is the square root of an annotation's area, in pixels.

    Attributes:
        images: number of images.
        boxes: number of objects.
        boxes_by_class: class name -> objects, in the order of the labels.
        boxes_by_size: name in ``SIZE_BINS`` -> objects; a bin holds its lower end.
        ignore_all_classes: ignore regions that concern every class.
        ignore_one_class: ignore regions that hide one class.
        skipped: annotations that the reader left out.
        notes: counts that the reader made, by description.
        median_side: of the objects, in pixels; ``None`` without any.
        boxes_per_image: smallest, median and largest number of objects in an image.
        images_without_boxes: images without any object.
    """

    images: int
    boxes: int
    boxes_by_class: dict[str, int]
    boxes_by_size: dict[str, int]
    ignore_all_classes: int
    ignore_one_class: int
    skipped: int
    notes: dict[str, int]
    median_side: float | None
    boxes_per_image: tuple[int, float, int]
    images_without_boxes: int


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
    sides = np.sqrt(np.concatenate([image.areas for image in dataset.images]))
    ignore_labels = np.concatenate([image.ignore_labels for image in dataset.images])
    by_label = np.bincount(labels, minlength=len(dataset.classes)).tolist()
    by_size = np.bincount(np.digitize(sides, SIZE_EDGES), minlength=len(SIZE_BINS)).tolist()
    # A sum, because two classes may have the same name.
    by_class: Counter[str] = Counter()
    for name, count in zip(dataset.classes, by_label, strict=True):
        by_class[name] += count
    ignored_for_all = int(np.count_nonzero(ignore_labels == EVERY_CLASS))
    return Statistics(
        images=len(dataset.images),
        boxes=len(labels),
        boxes_by_class=dict(by_class),
        boxes_by_size=dict(zip(SIZE_BINS, by_size, strict=True)),
        ignore_all_classes=ignored_for_all,
        ignore_one_class=len(ignore_labels) - ignored_for_all,
        skipped=len(dataset.skipped),
        notes=dict(dataset.notes or {}),
        median_side=float(np.median(sides)) if len(sides) else None,
        boxes_per_image=(int(per_image.min()), float(np.median(per_image)), int(per_image.max())),
        images_without_boxes=int(np.count_nonzero(per_image == 0)),
    )
