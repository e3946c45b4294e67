"""How the detections of one run met the objects, image by image: all that its metrics depend on.

Metrics of any selection or repetition of the images follow from it without matching again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import Dataset, FloatArray, IntArray
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import GroundTruth
from sobench.metrics.matching import IGNORED, IOU_THRESHOLDS, BoolArray
from sobench.suite.protocols import PROTOCOLS, Protocol

Int32Array = NDArray[np.int32]
Int8Array = NDArray[np.int8]

CUTOFFS: FloatArray = np.arange(1, 20) / 20
"""Scores .05, .10, ..., .95 from which on detections count in the family ``tt100k``."""


@dataclass(frozen=True)
class Matches:
    """How the detections of one run met the objects of a split under one protocol.

    N images, K classes, D detections that the protocol looks at, G objects that count (ignored
    ones and crowd regions do not), A ways to count and T thresholds. They depend on the family:

    ========== ======================================== ===================================
    family     A                                        T
    ========== ======================================== ===================================
    coco       the headline's area range, then the bins IoU .50:.05:.95
    voc        one                                      IoU .50
    visdrone   the limits of detections, the last first IoU .50:.05:.95
    tt100k     those of coco; then all sides, and bins  those of coco; score cut-offs .05:.05:.95
    ========== ======================================== ===================================

    Detections stand class by class in the dataset's order, within a class by falling score; equal
    scores in the order of the engines, which is that of the image ids and, within an image, of the
    file.

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
        num_objects: ``[A, N, K]`` objects that recall is a share of.
        found: ``[D]`` the object that it is a true positive of in the first way and at the first
            threshold, as its position among the G objects; -1 for none.
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


def outcome_shape(protocol: Protocol) -> tuple[int, int]:
    """A and T of the protocol's matches."""
    match protocol.family:
        case "coco":
            return 1 + len(protocol.bins), len(IOU_THRESHOLDS)
        case "voc":
            return 1, 1
        case "visdrone":
            return len(protocol.max_dets), len(IOU_THRESHOLDS)
        case "tt100k":
            return 2 + len(protocol.bins) + len(protocol.sides), len(CUTOFFS)


@dataclass(frozen=True)
class Cells:
    """Detections and annotations by the cell that they are in: one class in one image.

    Attributes:
        shape: number of images and of classes.
        row: ``[D]`` of each detection, its row in the table; detections are sorted by image,
            class and rank.
        image, label, rank: ``[D]``.
        boxes, scores: ``[D, 4]`` and ``[D]``.
        truth: annotations ``[G]``, ignored ones among them.
        truth_image, truth_label: ``[G]``.
    """

    shape: tuple[int, int]
    row: IntArray
    image: IntArray
    label: IntArray
    rank: IntArray
    boxes: FloatArray
    scores: FloatArray
    truth: GroundTruth
    truth_image: IntArray
    truth_label: IntArray

    @property
    def of_detections(self) -> IntArray:
        """``[D]`` the cell of each detection, rising."""
        return self.image * self.shape[1] + self.label

    @property
    def of_truth(self) -> IntArray:
        """``[G]`` the cell of each annotation."""
        return self.truth_image * self.shape[1] + self.truth_label


def in_cells(
    dataset: Dataset, table: DetectionTable, truth: GroundTruth, limit: int | None
) -> Cells:
    """Detections, at most ``limit`` of an image and class, and annotations by their cells."""
    image_ids = np.array([image.id for image in dataset.images], dtype=np.int64)
    category_ids = np.array(dataset.category_ids, dtype=np.int64)
    shape = (len(image_ids), len(category_ids))
    image = _positions(table.image_ids, image_ids)
    label = _positions(table.category_ids, category_ids)
    order = np.lexsort((-table.scores, label, image))
    image, label = image[order], label[order]
    cells = image * shape[1] + label
    rank = np.arange(len(cells)) - np.searchsorted(cells, cells)
    kept = rank < limit if limit else np.ones(len(rank), np.bool_)
    row = order[kept]
    return Cells(
        shape, row, image[kept], label[kept], rank[kept], table.boxes[row], table.scores[row],
        truth, _positions(truth.image_ids, image_ids), _positions(truth.category_ids, category_ids),
    )  # fmt: skip


def as_matches(
    dataset: Dataset,
    protocol: Protocol,
    digest: str,
    cells: Cells,
    outcome: Int8Array,
    taken: IntArray,
    counts: BoolArray,
    num_objects: Int32Array,
) -> Matches:
    """Matches in the order that they are kept in.

    Args:
        digest: SHA-256 of the file of detections.
        outcome: ``[A, T, D]`` of the detections of ``cells``.
        taken: ``[D]`` the annotation that each takes in the first way, at the first threshold; -1
            for none.
        counts: ``[G]`` which annotations count there.
        num_objects: ``[A, N, K]``.
    """
    image_ids = np.array([image.id for image in dataset.images], dtype=np.int64)
    order = kept_order(dataset, cells)
    # Among the annotations that count alone.
    number = np.append(np.cumsum(counts) - 1, -1)
    found = np.where((outcome[0, 0] == 1) & (taken >= 0), number[taken], -1)
    return Matches(
        protocol=protocol.name,
        protocol_version=protocol.version,
        detections=digest,
        image_ids=image_ids,
        classes=tuple(dataset.classes),
        image=cells.image[order].astype(np.int32),
        label=cells.label[order].astype(np.int32),
        score=cells.scores[order],
        rank=cells.rank[order].astype(np.int32),
        outcome=np.ascontiguousarray(outcome[:, :, order]),
        num_objects=num_objects,
        found=found[order].astype(np.int32),
        object_image=cells.truth_image[counts].astype(np.int32),
        object_label=cells.truth_label[counts].astype(np.int32),
        object_area=cells.truth.areas[counts],
    )


def kept_order(dataset: Dataset, cells: Cells) -> IntArray:
    """The order in which matches are kept ``[D]``, as places among the detections of ``cells``."""
    image_ids = np.array([image.id for image in dataset.images], dtype=np.int64)
    ids = image_ids[cells.image]
    order: IntArray = np.lexsort((cells.rank, ids, -cells.scores, cells.label))
    return order


def count_objects(counts: BoolArray, cells: Cells) -> Int32Array:
    """How many annotations of ``counts`` ``[G, A]`` are in each image and class ``[A, N, K]``."""
    numbers = np.zeros((counts.shape[1], *cells.shape), np.int32)
    which, way = np.nonzero(counts)
    np.add.at(numbers, (way, cells.truth_image[which], cells.truth_label[which]), 1)
    return numbers


def keep_first(outcome: Int8Array, rank: IntArray | Int32Array, limit: int) -> Int8Array:
    """The outcomes ``[..., D]`` if detections from this rank on are left out."""
    if not len(rank) or rank.max() < limit:
        return outcome
    return np.where(rank < limit, outcome, np.int8(IGNORED))


def within_ap_limit(matches: Matches) -> Matches:
    """The same, in which detections that AP does not look at are ignored.

    Some protocols give recall for more detections of an image and class than AP.
    """
    limit = PROTOCOLS[matches.protocol].ap_limit
    if not limit:
        return matches
    outcome = keep_first(matches.outcome, matches.rank, limit)
    found = np.where(matches.rank < limit, matches.found, -1).astype(np.int32)
    return replace(matches, outcome=outcome, found=found)


def _positions(ids: IntArray, known: IntArray) -> IntArray:
    """The position in ``known``, which need not be sorted, of each id."""
    order = np.argsort(known)
    return order[np.searchsorted(known[order], ids)] if len(ids) else np.empty(0, np.int64)
