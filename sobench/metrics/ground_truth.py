"""What detections are scored against: objects, crowd regions and size bins, as columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sobench.data.dataset import EVERY_CLASS, AnnotatedImage, Dataset, FloatArray, IntArray
from sobench.errors import DataError
from sobench.metrics.detections import DetectionTable
from sobench.metrics.matching import BoolArray
from sobench.suite.protocols import Protocol

# Turns x2 - x1 back into the width that the annotation file held, to the bit.
_TRUTH_DECIMALS = 6


@dataclass(frozen=True)
class GroundTruth:
    """Annotations as columns: ``[N]`` each, boxes ``[N, 4]`` ``x, y, w, h``; crowd is 0 or 1."""

    image_ids: IntArray
    category_ids: IntArray
    boxes: FloatArray
    areas: FloatArray
    crowd: IntArray


def ground_truth(dataset: Dataset, protocol: Protocol) -> GroundTruth:
    """Objects and the ignore regions that the protocol keeps, in the order of the images."""
    per_image = [_image_truth(image, len(dataset.classes), protocol) for image in dataset.images]
    # The empty arrays are for datasets without images.
    boxes = np.concatenate([np.empty((0, 4)), *(columns[0] for columns in per_image)])
    labels = np.concatenate([np.empty(0, np.int64), *(columns[1] for columns in per_image)])
    sizes = np.round(boxes[:, 2:] - boxes[:, :2], _TRUTH_DECIMALS)
    return GroundTruth(
        image_ids=np.repeat(
            np.array([image.id for image in dataset.images], dtype=np.int64),
            np.array([len(columns[1]) for columns in per_image], dtype=np.int64),
        ),
        category_ids=np.array(dataset.category_ids, dtype=np.int64)[labels],
        boxes=np.concatenate([boxes[:, :2], sizes], axis=1),
        areas=np.concatenate([np.empty(0), *(columns[2] for columns in per_image)]),
        crowd=np.concatenate([np.empty(0, np.int64), *(columns[3] for columns in per_image)]),
    )


def counted(truth: GroundTruth, protocol: Protocol) -> BoolArray:
    """Which annotations are objects that count in the metrics that are not of one bin ``[N]``."""
    low, high = protocol.headline
    counts: BoolArray = (truth.crowd == 0) & (truth.areas >= low) & (truth.areas <= high)
    return counts


def area_ranges(protocol: Protocol) -> list[list[float]]:
    """The range of the metrics that are not of one bin, then those of the protocol's bins."""
    return [[low, high] for low, high in (protocol.headline, *protocol.bins.values())]


def evaluated_part(
    dataset: Dataset, table: DetectionTable, protocol: Protocol
) -> tuple[Dataset, DetectionTable]:
    """The images, objects and detections that the protocol looks at: all of them, or small objects.

    Of a protocol with ``objects_below``, larger objects are left out and thereby become background,
    and so are images without a smaller one, with the detections on them. The boxes decide, as they
    do for ``dataset.max_area``. Pixels of what is returned cannot be read.
    """
    if not protocol.objects_below:
        return dataset, table
    small = (_with_objects_below(image, protocol.objects_below) for image in dataset.images)
    images = tuple(image for image in small if len(image.boxes))
    stays = np.isin(table.image_ids, np.array([image.id for image in images], np.int64))
    return replace(dataset, images=images), table.at(stays)


def _with_objects_below(image: AnnotatedImage, area: float) -> AnnotatedImage:
    sides = np.round(image.boxes[:, 2:] - image.boxes[:, :2], _TRUTH_DECIMALS)
    stays = sides.prod(axis=1) < area
    return replace(
        image, boxes=image.boxes[stays], labels=image.labels[stays], areas=image.areas[stays]
    )


def check_ids(table: DetectionTable, dataset: Dataset) -> None:
    """Refuse rows about images or classes that the dataset does not have."""
    image_ids = [image.id for image in dataset.images]
    for ids, valid_ids, key, noun in (
        (table.image_ids, image_ids, "image_id", "an image"),
        (table.category_ids, list(dataset.category_ids), "category_id", "a class"),
    ):
        unknown = ~np.isin(ids, np.array(valid_ids, dtype=np.int64))
        if unknown.any():
            index = int(np.argmax(unknown))
            few = ", ".join(map(str, valid_ids[:10])) + (", ..." if valid_ids[10:] else "")
            raise DataError(
                f"detections, row {index + 1} of {len(ids)}: {key} {ids[index]} is not {noun} of "
                f"{dataset.title} (known: {few}); score against the split they were made on"
            )


def _image_truth(
    image: AnnotatedImage, num_classes: int, protocol: Protocol
) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
    """Boxes ``[N, 4]`` ``x1, y1, x2, y2``, labels, areas and crowd flags ``[N]`` of one image."""
    shared = image.ignore_labels == EVERY_CLASS
    # A region of every class becomes a crowd region of each, box by box.
    regions = image.ignore[shared] if protocol.ignore_regions == "crowd" else np.empty((0, 4))
    crowds = np.concatenate([image.ignore[~shared], np.repeat(regions, num_classes, axis=0)])
    crowd_labels = np.concatenate(
        [image.ignore_labels[~shared], np.tile(np.arange(num_classes), len(regions))]
    )
    crowd_areas = np.prod(crowds[:, 2:] - crowds[:, :2], axis=1)
    return (
        np.concatenate([image.boxes, crowds]),
        np.concatenate([image.labels, crowd_labels]),
        np.concatenate([image.areas, crowd_areas]),
        np.repeat(np.array([0, 1], np.int64), [len(image.boxes), len(crowds)]),
    )
