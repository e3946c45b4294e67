"""From stored detections to scores and matches by any protocol: the one way to all numbers."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

import sobench
from sobench.data.annotations import check_class_names
from sobench.data.dataset import Dataset, FloatArray, ids_digest
from sobench.metrics import coco, coco_matches, tt100k, visdrone, voc
from sobench.metrics.curves import precision_curves
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import check_ids, counted, evaluated_part, ground_truth
from sobench.metrics.matches import Matches, in_cells, kept_order
from sobench.metrics.matching import IOU_THRESHOLDS
from sobench.metrics.scores import Scores
from sobench.metrics.weighted import Weighted
from sobench.suite.protocols import PROTOCOLS, Protocol, engine_name

_MATCH = {
    "coco": coco_matches.match,
    "voc": voc.match,
    "visdrone": visdrone.match,
    "tt100k": tt100k.match,
}
_WEIGH = {
    "coco": coco_matches.weigh,
    "voc": voc.weigh,
    "visdrone": visdrone.weigh,
    "tt100k": tt100k.weigh,
}
_CURVES = {"0.50": [0], "0.75": [5], "mean": [*range(len(IOU_THRESHOLDS))]}
"""Positions of the IoU thresholds that curves are of."""


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
        protocol: what counts, and how.
        engine: ``hotcoco``, or ``pycocotools``, which is slower by two orders of magnitude. It
            computes protocols of COCO's family; those of others have one way, the weighted metrics
            of their matches with weights of one.

    Raises:
        DataError: a detection names an image or class that the dataset lacks; or a class has the
            name ``all`` or that of another class.
        RequestError: the protocol's ``max_dets`` do not rise.
    """
    check_class_names(dataset.classes, dataset.title)
    check_ids(table, dataset)
    part, own_table = evaluated_part(dataset, table, protocol)
    if protocol.family == "coco":
        scores = coco.score(part, own_table, protocol, engine)
    else:
        matches = _MATCH[protocol.family](part, own_table, protocol, "")
        scores = _whole(matches, protocol)
    if protocol.objects_below:
        number = f"{len(part.images)} of {len(dataset.images)} images"
        told = f"{number}, sha256 of their ids {ids_digest(part)}"
        scores = scores.model_copy(update={"images": told})
    return scores


def match(dataset: Dataset, table: DetectionTable, protocol: Protocol, digest: str) -> Matches:
    """Match detections with the objects of every image.

    Args:
        dataset: the split that the detections were made on.
        table: in any order and possibly empty; equal scores keep their order.
        protocol: what counts, and how.
        digest: SHA-256 of the file that holds the detections.

    Raises:
        DataError: a detection names an image or class that the dataset lacks.
    """
    check_ids(table, dataset)
    part, own_table = evaluated_part(dataset, table, protocol)
    return _MATCH[protocol.family](part, own_table, protocol, digest)


def matched_boxes(
    dataset: Dataset, table: DetectionTable, protocol: Protocol
) -> tuple[FloatArray, FloatArray]:
    """Boxes ``x, y, w, h`` of what ``match`` looks at, in the order of ``Matches``.

    Returns:
        Those of the detections ``[D, 4]`` and of the objects that count ``[G, 4]``.

    Raises:
        DataError: as ``match`` does.
    """
    check_ids(table, dataset)
    part, own_table = evaluated_part(dataset, table, protocol)
    if protocol.family == "visdrone":
        part, own_table = visdrone.first_rows(part, own_table, protocol)
    limit = protocol.max_dets[-1] if protocol.family == "coco" else None
    truth = ground_truth(part, protocol)
    cells = in_cells(part, own_table, truth, limit)
    return cells.boxes[kept_order(part, cells)], truth.boxes[counted(truth, protocol)]


def weigh(matches: Matches, weights: FloatArray) -> Weighted:
    """All metrics of the protocol for each column of weights ``[N, B]``, whole numbers from 0."""
    protocol = PROTOCOLS[matches.protocol]
    return _WEIGH[protocol.family](matches, weights, protocol)


def _whole(matches: Matches, protocol: Protocol) -> Scores:
    """The scores of all images, each of which counts once."""
    of_all = _WEIGH[protocol.family](matches, np.ones((len(matches.image_ids), 1)), protocol)
    objects = np.bincount(matches.object_label, minlength=len(matches.classes)).tolist()
    curves = {"0.50": _CURVES["0.50"]} if protocol.family == "voc" else _CURVES
    return Scores(
        protocol=protocol.name,
        protocol_version=protocol.version,
        engine=f"{engine_name(protocol, '')} {sobench.__version__}",
        metrics={name: _or_none(values[0]) for name, values in of_all.metrics.items()},
        per_class={
            name: {key: _or_none(values[0, label]) for key, values in of_all.per_class.items()}
            | {"ground_truth": float(objects[label])}
            for label, name in enumerate(matches.classes)
        },
        curves=precision_curves(matches, curves),
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
