"""Kinds of errors, after TIDE (Bolya et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sobench.compare.error_types import KINDS, ErrorShare, ap50, classify, errors_of
from sobench.data.dataset import Dataset
from sobench.metrics.detections import DetectionRow, tabulate
from sobench.metrics.matches import Matches, within_ap_limit
from sobench.metrics.matching import overlaps
from sobench.metrics.scoring import match, matched_boxes, score
from sobench.suite.protocols import PROTOCOLS
from tests.compare.recorded import recorded_rows
from tests.metrics.family_cases import drone_case
from tests.metrics.scoring_cases import COCO, A, B, C, annotated, dataset_of, random_case, row

CAR, VAN = 0, 1


def shares(
    dataset: Dataset, rows: Sequence[DetectionRow], score: float | None = 0.0
) -> dict[str, ErrorShare]:
    table = tabulate(rows, "detections")
    matches, (boxes, objects) = match(dataset, table, COCO, ""), matched_boxes(dataset, table, COCO)
    return errors_of({"fpn": [(matches, boxes, score)]}, objects)["fpn"]


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
    matches, (boxes, objects) = match(dataset, table, COCO, ""), matched_boxes(dataset, table, COCO)
    kinds = classify(matches, boxes, objects).kind
    assert ((kinds >= 0) == (matches.outcome[0, 0] == 0)).all()
    assert kinds.max() < len(KINDS)
    found = errors_of({"x": [(matches, boxes, 0.0)]}, objects)["x"]
    for kind in ("both", "duplicate", "background", "missed"):  # to remove is never worse
        assert found[kind].lost >= -1e-12


def test_ap50_is_that_of_the_engine() -> None:
    for of_row in recorded_rows().values():
        for scores, matches in of_row.values():
            assert ap50_of(matches) == pytest.approx(scores.metrics["AP50"], abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ap50_is_that_of_the_protocol(protocol: str) -> None:
    """Also where AP looks at fewer detections than recall, in a crowded image."""
    dataset, rows = drone_case(1)
    table = tabulate(rows, "detections")
    scores = score(dataset, table, PROTOCOLS[protocol])
    matches = within_ap_limit(match(dataset, table, PROTOCOLS[protocol], ""))
    assert ap50_of(matches) == pytest.approx(scores.metrics["AP50"], abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_boxes_are_those_of_the_objects_that_count(protocol: str) -> None:
    """Of some protocols not all objects of the data do: every true positive meets the one found."""
    dataset, rows = drone_case(2)
    table = tabulate(rows, "detections")
    matches = match(dataset, table, PROTOCOLS[protocol], "")
    boxes, objects = matched_boxes(dataset, table, PROTOCOLS[protocol])
    assert len(objects) == len(matches.object_image)
    true = np.flatnonzero(matches.found >= 0)
    assert len(true) > 50
    found = objects[matches.found[true]]
    iou = [
        overlaps(a[None], b[None], np.zeros(1, np.bool_)).item()
        for a, b in zip(boxes[true], found, strict=True)
    ]
    assert min(iou) >= 0.5


def test_objects_in_ignored_regions_have_no_box_where_they_do_not_count() -> None:
    dataset = dataset_of(annotated(1, [(CAR, A), (CAR, B)], [(-1, A)]))
    table = tabulate([row(1, B, 0.9)], "detections")
    of = {name: matched_boxes(dataset, table, PROTOCOLS[name])[1].tolist() for name in PROTOCOLS}
    assert of["visdrone-official"] == [[*B]]
    assert of["visdrone-coco"] == [[*A], [*B]]


def ap50_of(matches: Matches) -> float:
    outcome, objects = matches.outcome[0, 0], matches.num_objects[0].sum(axis=0)
    return ap50(matches, outcome, matches.label, objects)
