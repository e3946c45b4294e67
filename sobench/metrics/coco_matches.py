"""COCO's matches, and its AP and AR of weighted images that follow from them."""

from __future__ import annotations

import numpy as np

from sobench.data.dataset import Dataset, FloatArray, IntArray
from sobench.metrics.coco import IOU_SLICES
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import area_ranges, ground_truth
from sobench.metrics.matches import Cells, Int8Array, Matches, as_matches, count_objects, in_cells
from sobench.metrics.matching import (
    FALSE,
    IGNORED,
    IOU_THRESHOLDS,
    TRUE,
    BoolArray,
    find_pairs,
    match_greedily,
)
from sobench.metrics.table import ALL_AREAS, class_metrics, coco_metrics
from sobench.metrics.weighted import Asked, Weighted, class_values, mean_over_classes
from sobench.suite.protocols import Protocol

IOUS = slice(0, len(IOU_THRESHOLDS))


def match(dataset: Dataset, table: DetectionTable, protocol: Protocol, digest: str) -> Matches:
    """Match detections with the objects of every image, as pycocotools does."""
    truth = ground_truth(dataset, protocol)
    cells = in_cells(dataset, table, truth, protocol.max_dets[-1])
    outcome, ignored, taken = outcomes(cells, area_ranges(protocol))
    return as_matches(
        dataset, protocol, digest, cells, outcome, taken, ~ignored[:, 0],
        count_objects(~ignored, cells),
    )  # fmt: skip


def outcomes(cells: Cells, areas: list[list[float]]) -> tuple[Int8Array, BoolArray, IntArray]:
    """What becomes of each detection in each area and at each threshold.

    Args:
        areas: lowest and highest of each area range.

    Returns:
        The outcomes ``[A, T, D]``, which annotations do not count ``[G, A]``, and the one taken at
        IoU .5 in the first area ``[D]``, -1 for none.
    """
    low, high = np.array(areas).T
    truth = cells.truth
    crowd = truth.crowd == 1
    ignored = crowd[:, None] | (truth.areas[:, None] < low) | (truth.areas[:, None] > high)
    pairs = find_pairs(cells.of_detections, cells.boxes, cells.of_truth, truth.boxes, crowd)
    paired, taken = match_greedily(cells.of_detections, pairs, ignored, crowd)
    # Without a match, a detection outside of the area is ignored.
    own = (cells.boxes[:, 2] * cells.boxes[:, 3])[:, None]
    alone = np.where((own < low) | (own > high), IGNORED, FALSE).astype(np.int8)  # [D, A]
    outcome = np.repeat(alone[:, :, None], len(IOU_THRESHOLDS), axis=2)
    of_ignored = ignored[taken, np.arange(len(areas))[:, None]] if len(ignored) else taken > 0
    matched = np.where(of_ignored, IGNORED, TRUE).astype(np.int8)
    outcome[paired] = np.where(taken >= 0, matched, outcome[paired])
    first = np.full(len(cells.row), -1)
    first[paired] = taken[:, 0, 0]
    return np.moveaxis(outcome, 0, 2), ignored, first


def weigh(matches: Matches, weights: FloatArray, protocol: Protocol) -> Weighted:
    """AP and AR, over all areas and by bin."""
    names = [ALL_AREAS, *protocol.bins]
    asked: dict[str, Asked] = {
        metric.name: (metric.quantity, names.index(metric.area), metric.max_dets)
        for metric in coco_metrics(protocol)
    }
    values = class_values(matches, weights, tuple(asked.values()), thresholds=IOUS)
    holds = matches.num_objects > 0  # [A, N, K]
    of_areas = holds.any(axis=2).sum(axis=1).tolist()
    metrics, holding = {}, {}
    of_classes = {
        metric.name: values[asked[metric.name]][:, IOU_SLICES[metric.iou]].mean(axis=1)
        for metric in coco_metrics(protocol)
    }  # [K, B] each
    for metric in coco_metrics(protocol):
        metrics[metric.name] = mean_over_classes(of_classes[metric.name])
        holding[metric.name] = of_areas[names.index(metric.area)]
    recall = f"AR@{protocol.max_dets[-1]}"
    per_class = {
        name: of_classes[recall if name == "AR" else name].T
        for name in class_metrics(protocol)
        if name in (*of_classes, "AR")
    }
    return Weighted(metrics, per_class, holding, holds[0].sum(axis=0), len(matches.image_ids))
