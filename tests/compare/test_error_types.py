"""Kinds of errors, after TIDE (Bolya et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sobench.compare.error_types import KINDS, ErrorShare, ap50, classify, errors_of
from sobench.data.dataset import Dataset
from sobench.metrics.detections import DetectionRow, tabulate
from sobench.metrics.ground_truth import ground_truth
from sobench.metrics.scoring import match, matched_boxes
from tests.compare.recorded import recorded_rows
from tests.metrics.scoring_cases import COCO, A, B, C, annotated, dataset_of, random_case, row

CAR, VAN = 0, 1


def shares(
    dataset: Dataset, rows: Sequence[DetectionRow], score: float | None = 0.0
) -> dict[str, ErrorShare]:
    table = tabulate(rows, "detections")
    matches, boxes = match(dataset, table, COCO, ""), matched_boxes(dataset, table, COCO)
    return errors_of({"fpn": [(matches, boxes, score)]}, ground_truth(dataset, COCO).boxes)["fpn"]


def counts(dataset: Dataset, *rows: DetectionRow) -> dict[str, float]:
    return {kind: share.count for kind, share in shares(dataset, rows).items() if share.count}


def scene() -> Dataset:
    """A car and a van on one image, 90 px apart."""
    return dataset_of(annotated(1, [(CAR, A), (VAN, B)]), classes=("car", "van"))


def moved(box: tuple[float, float, float, float], dx: float) -> tuple[float, float, float, float]:
    return (box[0] + dx, *box[1:])


@pytest.mark.parametrize(
    ("detections", "kinds"),
    [
        ([row(1, A, 0.9, 1), row(1, B, 0.9, 2)], {}),
        ([row(1, B, 0.9, 2)], {"missed": 1}),
        ([row(1, A, 0.9, 2), row(1, B, 0.9, 2)], {"classification": 1}),
        # 20 px wide and moved by 10: IoU 1/3.
        ([row(1, moved(A, 10), 0.9, 1), row(1, B, 0.9, 2)], {"localisation": 1}),
        ([row(1, moved(A, 10), 0.9, 2), row(1, B, 0.9, 2)], {"both": 1, "missed": 1}),
        ([row(1, A, 0.9, 1), row(1, A, 0.8, 1), row(1, B, 0.9, 2)], {"duplicate": 1}),
        # Moved by 17: IoU 3/37, below .1.
        ([row(1, moved(A, 17), 0.9, 1), row(1, B, 0.9, 2)], {"background": 1, "missed": 1}),
        ([row(1, C, 0.9, 1), row(1, A, 0.8, 1), row(1, B, 0.9, 2)], {"background": 1}),
        ([], {"missed": 2}),
    ],
    ids=["none", "missed", "class", "box", "both", "twice", "far", "nothing", "empty"],
)
def test_each_kind(detections: list[DetectionRow], kinds: dict[str, int]) -> None:
    assert counts(scene(), *detections) == kinds


def test_a_nearer_box_of_the_right_class_goes_before_another_class() -> None:
    # IoU 1/3 with the car, IoU 1 with a van that lies 10 px beside it.
    dataset = dataset_of(
        annotated(1, [(CAR, A), (VAN, moved(A, 10))]), classes=("car", "van")
    )  # fmt: skip
    found = counts(dataset, row(1, moved(A, 10), 0.9, 1))
    assert found == {"localisation": 1, "missed": 1}


def test_detections_below_the_best_score_do_not_count_and_crowds_are_no_errors() -> None:
    rows = [row(1, A, 0.9, 1), row(1, C, 0.2, 1)]
    assert shares(scene(), rows, 0.5)["background"].count == 0
    assert shares(scene(), rows, 0.1)["background"].count == 1
    assert shares(scene(), rows, None)["missed"].count == 2
    crowded = dataset_of(annotated(1, [(CAR, A)], [(CAR, C)]), classes=("car",))
    assert counts(crowded, row(1, A, 0.9, 1), row(1, C, 0.9, 1)) == {}


def test_what_a_kind_costs_by_hand() -> None:
    # Car: a false positive goes before the true one, so precision is 1/2 at every recall.
    rows = [row(1, C, 0.9, 1), row(1, A, 0.8, 1), row(1, B, 0.9, 2)]
    assert shares(scene(), rows)["background"].lost == pytest.approx((1 - 0.5) / 2)
    # The van is called a car, more surely than the car: put right, both are found.
    rows = [row(1, B, 0.9, 1), row(1, A, 0.8, 1)]
    assert shares(scene(), rows)["classification"].lost == pytest.approx(1 - 0.5 / 2)
    # Nothing finds the van: without it, only the class with cars is left.
    assert shares(scene(), [row(1, A, 0.8, 1)])["missed"].lost == pytest.approx(1 - 0.5)
    # Two boxes mean one car: the surer one is put right, the other removed.
    rows = [row(1, moved(A, 10), 0.9, 1), row(1, moved(A, -10), 0.8, 1)]
    assert shares(scene(), rows)["localisation"].lost == pytest.approx(0.5)
    # A box that means an object which another one finds is removed.
    rows = [row(1, moved(A, 10), 0.9, 1), row(1, A, 0.8, 1), row(1, B, 0.9, 2)]
    assert shares(scene(), rows)["localisation"].lost == pytest.approx((1 - 0.5) / 2)


@pytest.mark.parametrize("seed", range(3))
def test_every_false_positive_is_of_one_kind(seed: int) -> None:
    dataset, rows = random_case(seed)
    table = tabulate(rows, "detections")
    matches, boxes = match(dataset, table, COCO, ""), matched_boxes(dataset, table, COCO)
    truth = ground_truth(dataset, COCO)
    kinds = classify(matches, boxes, truth.boxes[truth.crowd == 0]).kind
    assert ((kinds >= 0) == (matches.outcome[0, 0] == 0)).all()
    assert kinds.max() < len(KINDS)
    found = errors_of({"x": [(matches, boxes, 0.0)]}, truth.boxes[truth.crowd == 0])["x"]
    for kind in ("both", "duplicate", "background", "missed"):  # to remove is never worse
        assert found[kind].lost >= -1e-12


def test_ap50_is_that_of_the_engine() -> None:
    for of_row in recorded_rows().values():
        for scores, matches in of_row.values():
            objects = matches.num_objects[0].sum(axis=0)
            found = ap50(matches.outcome[0, 0], matches.label, objects)
            assert found == pytest.approx(scores.metrics["AP50"], abs=1e-12)
