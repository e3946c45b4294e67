"""The scores of stored detections by any protocol: the one way from detections to numbers."""

from __future__ import annotations

from typing import Literal

from sobench.data.annotations import check_class_names
from sobench.data.dataset import Dataset
from sobench.metrics import coco
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import check_ids
from sobench.metrics.scores import Scores
from sobench.suite.protocols import Protocol


def score(
    dataset: Dataset,
    table: DetectionTable,
    protocol: Protocol,
    engine: Literal["hotcoco", "pycocotools"] = "hotcoco",
) -> Scores:
    """Score detections against every image of the dataset, also those without detections.

    Args:
        dataset: the split that the detections were made on.
        table: in any order and possibly empty; equal scores keep their order.
        protocol: limits of detections, size bins and the treatment of ignore regions.
        engine: ``hotcoco``, or ``pycocotools``, which is slower by two orders of magnitude.

    Raises:
        DataError: a detection names an image or class that the dataset lacks; or a class has the
            name ``all`` or that of another class.
        RequestError: the protocol's ``max_dets`` do not rise.
    """
    check_class_names(dataset.classes, dataset.title)
    check_ids(table, dataset)
    return coco.score(dataset, table, protocol, engine)
