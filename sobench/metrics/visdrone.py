"""AP and AR as the official toolkit of VisDrone-DET computes them (VisDrone2018-DET-toolkit).

What it does otherwise than COCO: objects and detections that lie in an ignored region are removed,
limits are of the rows of an image whatever their class and score, AP is the area under the curve,
objects with score 0 take detections away and yet count in recall, and a class counts in the means
once for each image that holds it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from sobench.data.dataset import EVERY_CLASS, AnnotatedImage, Dataset, FloatArray, IntArray
from sobench.metrics.coco import IOU_SLICES
from sobench.metrics.coco_matches import outcomes
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import ground_truth
from sobench.metrics.matches import Cells, Matches, as_matches, count_objects, in_cells
from sobench.metrics.matching import IGNORED, IOU_THRESHOLDS, BoolArray
from sobench.metrics.weighted import Asked, Weighted, class_values, mean_over_classes
from sobench.suite.protocols import ANY_AREA, Protocol


def match(dataset: Dataset, table: DetectionTable, protocol: Protocol, digest: str) -> Matches:
    """Match the first rows of each image at each limit.

    A lower limit is matched by itself: in a file that is not sorted by score, a row behind it may
    take an object from one before it.
    """
    dataset, table = first_rows(dataset, table, protocol)
    number = _row_in_image(table)
    limits = protocol.max_dets[::-1]
    cells = in_cells(dataset, table, ground_truth(dataset, protocol), None)
    shape = (len(limits), len(IOU_THRESHOLDS), len(cells.row))
    outcome = np.full(shape, IGNORED, np.int8)
    taken = np.full(len(cells.row), -1)
    for way, limit in enumerate(limits):
        kept = number[cells.row] < limit
        of_limit, _, taken_here = outcomes(_part(cells, kept), [[*ANY_AREA]])
        outcome[way][:, kept] = of_limit[0]
        if way == 0:  # at the last limit all are kept
            taken = taken_here
    counts = cells.truth.crowd == 0
    everything = np.ones((len(counts), len(limits)), np.bool_)
    return as_matches(
        dataset, protocol, digest, cells, outcome, taken, counts,
        count_objects(everything, cells),
    )  # fmt: skip


def first_rows(
    dataset: Dataset, table: DetectionTable, protocol: Protocol
) -> tuple[Dataset, DetectionTable]:
    """What is left outside of ignored regions, and of it the rows up to the last limit."""
    dataset, table = _outside_of_ignored_regions(dataset, table)
    return dataset, table.at(_row_in_image(table) < protocol.max_dets[-1])


def _row_in_image(table: DetectionTable) -> IntArray:
    """The number of each row among those of its image, from 0, in the order of the file."""
    order = np.argsort(table.image_ids, kind="stable")
    ids = table.image_ids[order]
    number = np.empty(len(ids), np.int64)
    number[order] = np.arange(len(ids)) - np.searchsorted(ids, ids)
    return number


def _part(cells: Cells, kept: BoolArray) -> Cells:
    """Some of the detections."""
    return replace(
        cells, row=cells.row[kept], image=cells.image[kept], label=cells.label[kept],
        rank=cells.rank[kept], boxes=cells.boxes[kept], scores=cells.scores[kept],
    )  # fmt: skip


def _outside_of_ignored_regions(
    dataset: Dataset, table: DetectionTable
) -> tuple[Dataset, DetectionTable]:
    """What is left where boxes are removed of which half or more lies in ignored regions."""
    stays = np.ones(len(table.scores), np.bool_)
    images = []
    for image in dataset.images:
        shared = image.ignore_labels == EVERY_CLASS
        if not shared.any():
            images.append(image)
            continue
        covered = _covered_pixels(image, shared)
        rows = np.flatnonzero(table.image_ids == image.id)
        stays[rows] = _is_outside(table.boxes[rows], covered)
        objects = _is_outside(_sides(image.boxes), covered)
        regions = shared | _is_outside(_sides(image.ignore), covered)
        images.append(
            replace(
                image, boxes=image.boxes[objects], labels=image.labels[objects],
                areas=image.areas[objects], ignore=image.ignore[regions],
                ignore_labels=image.ignore_labels[regions],
            )
        )  # fmt: skip
    return replace(dataset, images=tuple(images)), table.at(stays)


def _sides(corners: FloatArray) -> FloatArray:
    """``x, y, w, h`` of ``x1, y1, x2, y2``, as the annotation file held them."""
    sides = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    return cast(FloatArray, np.round(sides, 6))


def _covered_pixels(image: AnnotatedImage, shared: BoolArray) -> IntArray:
    """How many pixels up to each row and column ``[H + 1, W + 1]`` lie in ignored regions.

    The toolkit's pixels begin at 1, and a region covers them up to ``x + w``, inclusive.
    """
    covered = np.zeros((image.height + 1, image.width + 1), np.int64)
    for x, y, w, h in _pixels(_sides(image.ignore[shared])).tolist():
        covered[y : min(image.height, y + h) + 1, x : min(image.width, x + w) + 1] = 1
    total: IntArray = covered.cumsum(axis=0).cumsum(axis=1)
    return total


def _pixels(boxes: FloatArray) -> IntArray:
    """Rounded, halves up, and at least 1."""
    return np.maximum(1, np.floor(boxes + 0.5)).astype(np.int64)


def _is_outside(boxes: FloatArray, covered: IntArray) -> BoolArray:
    """Which boxes ``x, y, w, h`` lie in ignored regions with less than half of their own area.

    The toolkit counts the pixels from ``x + 1`` to ``x + w`` and divides by ``w * h``.
    """
    height, width = covered.shape[0] - 1, covered.shape[1] - 1
    x, y, w, h = _pixels(boxes).T
    x, y = np.minimum(width, x), np.minimum(height, y)
    right, bottom = np.minimum(width, x + w), np.minimum(height, y + h)
    inside = covered[y, x] + covered[bottom, right] - covered[y, right] - covered[bottom, x]
    outside: BoolArray = 2 * inside < w * h
    return outside


def weigh(matches: Matches, weights: FloatArray, protocol: Protocol) -> Weighted:
    """AP and AR, as official means and as plain means over classes."""
    asked: dict[str, Asked] = {"AP": ("AP", 0, 0)}
    for way, limit in enumerate(protocol.max_dets[::-1]):
        asked[f"AR@{limit}"] = ("AR", way, 0)
    values = class_values(matches, weights, tuple(asked.values()), points=0)
    ap = values[asked["AP"]]  # [K, T, B]
    of_classes = {
        "AP": ap.mean(axis=1),
        "AP50": ap[:, IOU_SLICES["0.50"]].mean(axis=1),
        "AP75": ap[:, IOU_SLICES["0.75"]].mean(axis=1),
    }  # [K, B] each
    of_classes |= {
        f"AR@{limit}": values[asked[f"AR@{limit}"]].mean(axis=1) for limit in protocol.max_dets
    }
    holds = matches.num_objects[0] > 0  # [N, K]
    shares = holds.T.astype(np.float64) @ weights
    metrics = {name: mean_over_classes(of, shares) for name, of in of_classes.items()}
    metrics |= {f"{name}_class": mean_over_classes(of) for name, of in of_classes.items()}
    last = f"AR@{protocol.max_dets[-1]}"
    return Weighted(
        metrics=metrics,
        per_class={
            name.partition("@")[0]: of_classes[name].T for name in ("AP", "AP50", "AP75", last)
        },
        holding=dict.fromkeys(metrics, int(holds.any(axis=1).sum())),
        class_holding=holds.sum(axis=0),
        images=len(matches.image_ids),
    )
