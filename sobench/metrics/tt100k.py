"""Accuracy, recall and F1 of Tsinghua-Tencent 100K, as its ``eval_annos`` counts signs.

Unlike there, all images of the split are looked at, not only those with detections, and numbers
of no sign at all are undefined rather than 1.
"""

from __future__ import annotations

import numpy as np

from sobench.data.dataset import Dataset, FloatArray, IntArray
from sobench.metrics import coco_matches
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import area_ranges, ground_truth
from sobench.metrics.matches import (
    CUTOFFS,
    Cells,
    Int8Array,
    Matches,
    as_matches,
    count_objects,
    in_cells,
    keep_first,
)
from sobench.metrics.matching import FALSE, IGNORED, IOU_THRESHOLDS, TRUE, BoolArray, find_pairs
from sobench.metrics.weighted import Weighted, weighted_counts
from sobench.suite.protocols import Protocol


def match(dataset: Dataset, table: DetectionTable, protocol: Protocol, digest: str) -> Matches:
    """COCO's matches, and behind them those of signs by their longest sides."""
    cells = in_cells(dataset, table, ground_truth(dataset, protocol), None)
    of_coco, ignored, taken = coco_matches.outcomes(cells, area_ranges(protocol))
    of_coco = keep_first(of_coco, cells.rank, protocol.max_dets[-1])
    # Score cut-offs are more than IoU thresholds; what is behind these counts nowhere.
    behind = len(CUTOFFS) - len(IOU_THRESHOLDS)
    padded = np.pad(of_coco, ((0, 0), (0, behind), (0, 0)), constant_values=IGNORED)
    counts = _within(_longest(cells.truth.boxes), protocol) & (cells.truth.crowd == 0)[:, None]
    outcome = np.concatenate([padded, _sign_outcomes(cells, counts, protocol)])
    return as_matches(
        dataset, protocol, digest, cells, outcome, taken, ~ignored[:, 0],
        count_objects(np.hstack([~ignored, counts]), cells),
    )  # fmt: skip


def _longest(boxes: FloatArray) -> FloatArray:
    """The longest side of each box ``x, y, w, h``."""
    longest: FloatArray = boxes[:, 2:].max(axis=1)
    return longest


def _within(longest: FloatArray, protocol: Protocol) -> BoolArray:
    """Whether a side lies in the whole range, and in each of the protocol's, ``[..., 1 + S]``."""
    low, high = np.array([*protocol.sides.values()], np.float64).T
    low, high = np.append(low.min(), low), np.append(high.max(), high)
    within: BoolArray = (longest[:, None] >= low) & (longest[:, None] < high)
    return within


def _sign_outcomes(cells: Cells, counts: BoolArray, protocol: Protocol) -> Int8Array:
    """What becomes of each detection in each range of sides, at each score cut-off, ``[A, T, D]``.

    Args:
        counts: ``[G, A]`` which signs count.
    """
    crowd = cells.truth.crowd == 1
    pairs = find_pairs(cells.of_detections, cells.boxes, cells.of_truth, cells.truth.boxes, crowd)
    order = np.lexsort((cells.row[pairs.detection], pairs.truth, -pairs.iou))
    order = order[(pairs.iou[order] > IOU_THRESHOLDS[0]) & ~crowd[pairs.truth[order]]]
    alone = np.where(_within(_longest(cells.boxes), protocol), FALSE, IGNORED).astype(np.int8).T
    outcome = np.full((len(alone), len(CUTOFFS), len(cells.row)), IGNORED, np.int8)
    for place, cutoff in enumerate(CUTOFFS.tolist()):
        sure = cells.scores >= cutoff
        of_cutoff = alone.copy()
        detections, signs = _by_overlap(pairs.detection[order], pairs.truth[order], sure)
        # Whoever takes a sign outside of the range does not count.
        of_cutoff[:, detections] = np.where(counts[signs].T, TRUE, IGNORED)
        outcome[:, place] = np.where(sure, of_cutoff, IGNORED)
    return outcome


def _by_overlap(
    detections: IntArray, signs: IntArray, sure: BoolArray
) -> tuple[IntArray, IntArray]:
    """Pairs of a detection and a sign that are both still free, in the order given."""
    free_detections, free_signs = set[int](), set[int]()
    taken: list[tuple[int, int]] = []
    eligible = sure[detections]
    for pair in zip(detections[eligible].tolist(), signs[eligible].tolist(), strict=True):
        if pair[0] not in free_detections and pair[1] not in free_signs:
            free_detections.add(pair[0])
            free_signs.add(pair[1])
            taken.append(pair)
    both = np.array(taken, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def weigh(matches: Matches, weights: FloatArray, protocol: Protocol) -> Weighted:
    """Accuracy, recall and F1 at the cut-off, the best F1, and AP and AR besides."""
    besides = coco_matches.weigh(matches, weights, protocol)
    first = 1 + len(protocol.bins)
    chosen = int(np.flatnonzero(protocol.cutoff == CUTOFFS)[0])
    metrics: dict[str, FloatArray] = {}
    holding: dict[str, int] = {}
    for way, size in enumerate(("", *(f"_{name}" for name in protocol.sides)), first):
        of_way = _rates(matches, weights, way, np.ones(len(matches.image), np.bool_))
        named = {f"{name}{size}": values[chosen] for name, values in of_way.items()}
        if way == first:
            # Of equal F1 the highest cut-off.
            best = len(CUTOFFS) - 1 - of_way["F1"][::-1].argmax(axis=0)
            cutoff = np.where(np.isnan(of_way["F1"][0]), np.nan, CUTOFFS[best])
            last = {"best_F1": of_way["F1"].max(axis=0), "best_cutoff": cutoff}
            named_last = last
        metrics |= named
        images = int((matches.num_objects[way] > 0).any(axis=1).sum())
        holding |= dict.fromkeys(named, images)
    metrics |= named_last
    holding |= dict.fromkeys(named_last, holding["F1"])
    return Weighted(
        metrics=metrics | besides.metrics,
        per_class=_per_class(matches, weights, first, chosen) | besides.per_class,
        holding=holding | besides.holding,
        class_holding=besides.class_holding,
        images=besides.images,
    )


def _per_class(
    matches: Matches, weights: FloatArray, way: int, chosen: int
) -> dict[str, FloatArray]:
    """F1, accuracy and recall of each class, ``[B, K]`` each."""
    of_classes = [
        _rates(matches, weights, way, matches.label == label, label)
        for label in range(len(matches.classes))
    ]
    return {
        name: np.stack([rates[name][chosen] for rates in of_classes], axis=1)
        for name in ("F1", "accuracy", "recall")
    }


def _rates(
    matches: Matches, weights: FloatArray, way: int, part: BoolArray, label: int | None = None
) -> dict[str, FloatArray]:
    """F1, accuracy and recall at each cut-off, ``[T, B]`` each; NaN where no sign counts.

    Accuracy is 1 where no detection counts, as it is in ``eval_annos``.

    Args:
        part: ``[D]`` the detections that are looked at.
        label: the class whose signs are; ``None`` for all.
    """
    outcome, image = matches.outcome[way][:, part], matches.image[part]
    numbers = matches.num_objects[way] if label is None else matches.num_objects[way][:, [label]]
    objects = numbers.sum(axis=1) @ weights  # [B]
    objects = np.where(objects > 0, objects, np.nan)
    right = weighted_counts(outcome == TRUE, image, weights)
    detections = weighted_counts(outcome != IGNORED, image, weights)
    accuracy = np.divide(right, detections, out=np.ones_like(right), where=detections > 0)
    return {
        "F1": 2 * right / (detections + objects),
        "accuracy": np.where(np.isnan(objects), np.nan, accuracy),
        "recall": right / objects,
    }
