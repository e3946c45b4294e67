"""How the detections of one run met the objects, image by image: all that AP and AR depend on.

Metrics of any selection or repetition of the images follow from it without matching again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import Dataset, FloatArray, IntArray
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import GroundTruth, area_ranges, check_ids, ground_truth
from sobench.metrics.matching import (
    FALSE,
    IGNORED,
    IOU_THRESHOLDS,
    TRUE,
    BoolArray,
    find_pairs,
    match_greedily,
)
from sobench.suite.protocols import Protocol

Int32Array = NDArray[np.int32]
Int8Array = NDArray[np.int8]


@dataclass(frozen=True)
class Matches:
    """How the detections of one run met the objects of a split under one protocol.

    N images, K classes, D detections that the last limit keeps, G objects (crowd regions are
    none), A areas (all, then the protocol's bins), T IoU thresholds .50:.05:.95. Detections stand
    class by class in the dataset's order, within a class by falling score; equal scores in the
    order of the engines, which is that of the image ids and, within an image, of the file.

    Attributes:
        protocol, protocol_version: the protocol, by its name.
        detections: SHA-256 of the file of detections that was matched.
        image_ids: ``[N]`` in the order of the dataset.
        classes: ``[K]``.
        image: ``[D]`` position of each detection's image in ``image_ids``.
        label: ``[D]`` in ``0..K-1``.
        score: ``[D]``.
        rank: ``[D]`` among the detections of its image and class, from 0.
        outcome: ``[A, T, D]`` 1 for a true positive, 0 for a false positive, -1 for ignored.
        num_objects: ``[A, N, K]`` objects that count.
        found: ``[D]`` the object that it is a true positive of at IoU .5 over all areas, as its
            position among the G objects; -1 for none.
        object_image, object_label, object_area: ``[G]`` of each object in the order of the
            dataset; areas in square pixels.
    """

    protocol: str
    protocol_version: int
    detections: str
    image_ids: IntArray
    classes: tuple[str, ...]
    image: Int32Array
    label: Int32Array
    score: FloatArray
    rank: Int32Array
    outcome: Int8Array
    num_objects: Int32Array
    found: Int32Array
    object_image: Int32Array
    object_label: Int32Array
    object_area: FloatArray


def match(dataset: Dataset, table: DetectionTable, protocol: Protocol, digest: str) -> Matches:
    """Match detections with the objects of every image, as pycocotools does.

    Args:
        dataset: the split that the detections were made on.
        table: in any order and possibly empty; equal scores keep their order.
        protocol: limits of detections, size bins and the treatment of ignore regions.
        digest: SHA-256 of the file that holds the detections.

    Raises:
        DataError: a detection names an image or class that the dataset lacks.
    """
    check_ids(table, dataset)
    truth = ground_truth(dataset, protocol)
    image_ids = np.array([image.id for image in dataset.images], dtype=np.int64)
    truth_image = _positions(truth.image_ids, image_ids)
    truth_label = _positions(truth.category_ids, np.array(dataset.category_ids, np.int64))
    image, label, rank, kept = _limited(table, dataset, image_ids, protocol.max_dets[-1])
    boxes, scores = table.boxes[kept], table.scores[kept]
    ignored, outcome, found = _outcomes(
        (image * len(dataset.classes) + label, boxes),
        (truth_image * len(dataset.classes) + truth_label, truth),
        area_ranges(protocol),
    )
    order = _order(image_ids[image], label, rank, scores)
    objects = truth.crowd == 0
    return Matches(
        protocol=protocol.name,
        protocol_version=protocol.version,
        detections=digest,
        image_ids=image_ids,
        classes=tuple(dataset.classes),
        image=image[order].astype(np.int32),
        label=label[order].astype(np.int32),
        score=scores[order],
        rank=rank[order].astype(np.int32),
        outcome=np.ascontiguousarray(outcome[:, :, order]),
        num_objects=_count(
            ignored, truth_image, truth_label, (len(image_ids), len(dataset.classes))
        ),
        found=found[order].astype(np.int32),
        object_image=truth_image[objects].astype(np.int32),
        object_label=truth_label[objects].astype(np.int32),
        object_area=truth.areas[objects],
    )


def matched_boxes(dataset: Dataset, table: DetectionTable, protocol: Protocol) -> FloatArray:
    """Boxes ``[D, 4]`` ``x, y, w, h`` of the detections of ``match``, in the order of ``Matches``.

    Raises:
        DataError: as ``match`` does.
    """
    check_ids(table, dataset)
    image_ids = np.array([image.id for image in dataset.images], dtype=np.int64)
    image, label, rank, kept = _limited(table, dataset, image_ids, protocol.max_dets[-1])
    order = _order(image_ids[image], label, rank, table.scores[kept])
    return table.boxes[kept][order]


def _order(image_ids: IntArray, label: IntArray, rank: IntArray, scores: FloatArray) -> IntArray:
    """The order of ``Matches``, from each detection's image, label, rank and score ``[D]``."""
    order: IntArray = np.lexsort((rank, image_ids, -scores, label))
    return order


def _positions(ids: IntArray, known: IntArray) -> IntArray:
    """The position in ``known``, which need not be sorted, of each id."""
    order = np.argsort(known)
    return order[np.searchsorted(known[order], ids)] if len(ids) else np.empty(0, np.int64)


def _limited(
    table: DetectionTable, dataset: Dataset, image_ids: IntArray, limit: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Image, label, rank and row of the detections that the limit keeps.

    They are sorted by image, label and rank.
    """
    image = _positions(table.image_ids, image_ids)
    label = _positions(table.category_ids, np.array(dataset.category_ids, np.int64))
    order = np.lexsort((-table.scores, label, image))
    image, label = image[order], label[order]
    cells = image * len(dataset.classes) + label
    rank = np.arange(len(cells)) - np.searchsorted(cells, cells)
    kept = rank < limit
    return image[kept], label[kept], rank[kept], order[kept]


def _outcomes(
    detections: tuple[IntArray, FloatArray],
    objects: tuple[IntArray, GroundTruth],
    areas: list[list[float]],
) -> tuple[BoolArray, Int8Array, IntArray]:
    """What becomes of each detection in each area and at each threshold.

    Args:
        detections: cells ``[D]``, rising, and boxes ``[D, 4]``.
        objects: cells ``[G]`` and annotations, crowd regions among them.
        areas: lowest and highest of each area range.

    Returns:
        Which annotations do not count ``[G, A]``, the outcomes ``[A, T, D]``, and the object found
        at IoU .5 over all areas ``[D]``, -1 for none.
    """
    (cells, boxes), (truth_cells, truth) = detections, objects
    low, high = np.array(areas).T
    crowd = truth.crowd == 1
    ignored = crowd[:, None] | (truth.areas[:, None] < low) | (truth.areas[:, None] > high)
    paired, taken = match_greedily(
        cells, find_pairs(cells, boxes, truth_cells, truth.boxes, crowd), ignored, crowd
    )
    # Without a match, a detection outside of the area is ignored.
    own = (boxes[:, 2] * boxes[:, 3])[:, None]
    alone = np.where((own < low) | (own > high), IGNORED, FALSE).astype(np.int8)  # [D, A]
    outcome = np.repeat(alone[:, :, None], len(IOU_THRESHOLDS), axis=2)
    of_ignored = ignored[taken, np.arange(len(areas))[:, None]] if len(ignored) else taken > 0
    matched = np.where(of_ignored, IGNORED, TRUE).astype(np.int8)
    outcome[paired] = np.where(taken >= 0, matched, outcome[paired])
    found = np.full(len(cells), -1)
    found[paired] = taken[:, 0, 0]
    # Among the objects alone.
    number = np.cumsum(~crowd) - 1
    found = np.where(outcome[:, 0, 0] == TRUE, number[found], -1) if len(number) else found
    return ignored, np.moveaxis(outcome, 0, 2), found


def _count(
    ignored: BoolArray, image: IntArray, label: IntArray, shape: tuple[int, int]
) -> Int32Array:
    """How many objects count in each area, image and class ``[A, N, K]``."""
    counts = np.zeros((ignored.shape[1], *shape), np.int32)
    which, area = np.nonzero(~ignored)
    np.add.at(counts, (area, image[which], label[which]), 1)
    return counts
