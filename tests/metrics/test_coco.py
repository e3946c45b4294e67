"""Scores of a few boxes, computed by hand, and requests that are refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, cast

import pytest

from sobench.data.dataset import EVERY_CLASS
from sobench.errors import DataError, RequestError
from sobench.metrics.detections import DetectionRow
from sobench.metrics.scores import Scores
from sobench.suite.protocols import PROTOCOLS, Protocol
from tests.metrics.scoring_cases import (
    COCO,
    A,
    B,
    Box,
    C,
    Engine,
    annotated,
    both_engines,
    dataset_of,
    quiet_score,
    row,
    score,
)

# --- by hand ---------------------------------------------------------------------------------


@both_engines
def test_one_perfect_box(engine: Engine) -> None:
    result = score(dataset_of(annotated(1, [(0, A)])), [row(1, A, 0.5)], COCO, engine)
    for key in ("AP", "AP50", "AP75", "AP_S", "AR@1", "AR@10", "AR@100", "AR_S"):
        assert result.metrics[key] == pytest.approx(1)
    for key in ("AP_M", "AP_L", "AR_M", "AR_L"):
        assert result.metrics[key] is None
    assert result.per_class["car"]["ground_truth"] == 1
    assert result.curves["car"] == result.curves["all"]


@both_engines
def test_iou_decides_the_thresholds_met(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, (0, 0, 10, 10))]))
    metrics = score(dataset, [row(1, (0, 0, 10, 7.5), 0.5)], COCO, engine).metrics
    assert metrics["AP75"] == pytest.approx(1)
    assert metrics["AP"] == pytest.approx(0.6)  # .50 to .75 of ten
    assert metrics["AR@100"] == pytest.approx(0.6)


@both_engines
def test_sizes_at_50(engine: Engine) -> None:
    """A small object of IoU 2/3 and one that is missed, a medium one that is found to the pixel."""
    protocol = PROTOCOLS["coco-bins50"]
    dataset = dataset_of(annotated(1, [(0, A), (0, B), (0, (300, 10, 40, 40))]))
    found = [row(1, (14, 10, 20, 20), 0.9), row(1, (300, 10, 40, 40), 0.8)]
    metrics = score(dataset, found, protocol, engine).metrics
    # Of the 101 recalls 0 to .50 are reached by one of two, with a precision of 1.
    assert metrics["AP50_S"] == pytest.approx(51 / 101)
    assert metrics["AP_S"] == pytest.approx(0.4 * 51 / 101)  # .50, .55, .60, .65
    assert (metrics["AR50_S"], metrics["AR_S"]) == pytest.approx((0.5, 0.2))
    assert (metrics["AP50_M"], metrics["AR50_M"]) == pytest.approx((1, 1))
    assert (metrics["AP50_L"], metrics["AR50_L"]) == (None, None)


@both_engines
def test_duplicate_is_a_false_detection(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A), (0, B)]))
    rows = [row(1, A, 0.9), row(1, A, 0.8), row(1, B, 0.7)]
    result = score(dataset, rows, COCO, engine)
    assert result.metrics["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result.curves["car"]["mean"] == pytest.approx([1] * 51 + [2 / 3] * 50)


@both_engines
def test_miss(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]), annotated(2, [(0, A)]))
    metrics = score(dataset, [row(2, A, 0.9)], COCO, engine).metrics
    assert metrics["AP"] == pytest.approx(51 / 101)
    assert metrics["AR@100"] == pytest.approx(0.5)


@both_engines
def test_detections_on_an_empty_image_count(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]), annotated(2))
    rows = [row(2, A, 0.9), row(1, A, 0.8)]
    assert score(dataset, rows, COCO, engine).metrics["AP"] == pytest.approx(0.5)


@both_engines
def test_limit_is_per_image_and_class(engine: Engine) -> None:
    """Two of three cars fit under the limit of 2; buses and the second image have their own."""
    dataset = dataset_of(
        annotated(1, [(0, A), (0, B), (0, C), (1, A), (1, B)]),
        annotated(2, [(1, A)]),
        classes=("car", "bus"),
    )
    rows = [row(1, box, 0.9 - i / 10) for i, box in enumerate((A, B, C))]
    rows += [row(1, A, 0.3, 2), row(1, B, 0.2, 2), row(2, A, 0.1, 2)]
    result = score(dataset, rows, Protocol("two", "two", 1, (1, 2), {}), engine)
    assert result.per_class["car"]["AP"] == pytest.approx(67 / 101)  # recall up to 2/3
    assert result.per_class["bus"]["AP"] == pytest.approx(1)
    assert result.metrics["AR@1"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert result.metrics["AR@2"] == pytest.approx((2 / 3 + 1) / 2)
    assert list(result.metrics) == ["AP", "AP50", "AP75", "AR@1", "AR@2"]


@both_engines
def test_bins_include_both_ends_of_the_annotated_area(engine: Engine) -> None:
    protocol = Protocol(
        "edges", "edges", 1, (100,), {"lo": (0, 100), "mid": (100, 200), "hi": (200, 300)}
    )
    dataset = dataset_of(annotated(1, [(0, A)], areas=[100.0]))  # the box itself has 400
    metrics = score(dataset, [row(1, A, 0.5)], protocol, engine).metrics
    assert metrics["AP_lo"] == pytest.approx(1)
    assert metrics["AP_mid"] == pytest.approx(1)
    assert metrics["AP_hi"] is None


@both_engines
def test_unmatched_detections_outside_a_bin_do_not_count(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]))
    rows = [row(1, (300, 300, 100, 100), 0.9), row(1, A, 0.5)]
    metrics = score(dataset, rows, COCO, engine).metrics
    assert metrics["AP"] == pytest.approx(0.5)
    assert metrics["AP_S"] == pytest.approx(1)


CROWDED = [
    row(1, A, 0.5),
    row(1, (510, 510, 20, 20), 0.9),
    row(1, (540, 510, 20, 20), 0.8),
    row(1, (570, 510, 20, 20), 0.7),
]
REGION: Box = (500, 500, 100, 100)


@both_engines
@pytest.mark.parametrize(
    ("label", "treatment", "expected"),
    [
        (0, "drop", 1),
        (0, "crowd", 1),
        (1, "drop", 0.25),
        (1, "crowd", 0.25),
        (EVERY_CLASS, "drop", 0.25),
        (EVERY_CLASS, "crowd", 1),
    ],
)
def test_ignore_regions(engine: Engine, label: int, treatment: str, expected: float) -> None:
    dataset = dataset_of(annotated(1, [(0, A)], [(label, REGION)]), classes=("car", "bus"))
    result = score(dataset, CROWDED, replace(COCO, ignore_regions=treatment), engine)
    assert result.metrics["AP"] == pytest.approx(expected)
    assert result.per_class["car"]["ground_truth"] == 1
    assert result.per_class["bus"]["AP"] is None


@both_engines
def test_order_of_classes_is_the_datasets(engine: Engine) -> None:
    dataset = dataset_of(
        annotated(1, [(0, A), (1, B), (2, C)]),
        classes=("car", "bus", "van"),
        category_ids=(30, 10, 20),
    )
    rows = [row(1, A, 0.5, 30), row(1, A, 0.9, 20), row(1, C, 0.5, 20)]
    per_class = score(dataset, rows, COCO, engine).per_class
    assert [values["AP"] for values in per_class.values()] == pytest.approx([1, 0, 0.5])


@both_engines
@pytest.mark.parametrize("ids", [(2**60 + 3, 2**60 + 1), (-5, 0)])
def test_any_integer_is_an_id(
    capfd: pytest.CaptureFixture[str], engine: Engine, ids: tuple[int, int]
) -> None:
    dataset = dataset_of(
        annotated(ids[0], [(0, A)]),
        annotated(ids[1], [(1, B)]),
        classes=("car", "bus"),
        category_ids=ids,
    )
    rows = [row(ids[0], A, 0.5, ids[0]), row(ids[1], B, 0.4, ids[1])]
    assert quiet_score(capfd, dataset, rows, COCO, engine).metrics["AP"] == pytest.approx(1)


# --- nothing there ---------------------------------------------------------------------------


@both_engines
def test_no_detections(capfd: pytest.CaptureFixture[str], engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]), annotated(2), classes=("car", "bus"))
    result = quiet_score(capfd, dataset, [], COCO, engine)
    assert result.metrics["AP"] == result.metrics["AR@100"] == 0
    assert result.per_class["car"]["AP"] == 0
    assert result.per_class["bus"]["AP"] is None
    assert result.curves["all"]["mean"] == [0] * 101


@both_engines
@pytest.mark.parametrize("rows", [[], [row(1, A, 0.5)]])
def test_no_ground_truth(
    capfd: pytest.CaptureFixture[str], engine: Engine, rows: list[DetectionRow]
) -> None:
    result = quiet_score(capfd, dataset_of(annotated(1), annotated(2)), rows, COCO, engine)
    assert all(value is None for value in result.metrics.values())
    assert all(value is None for value in result.curves["all"]["0.50"])
    assert result.per_class["car"]["ground_truth"] == 0


@both_engines
def test_no_images(capfd: pytest.CaptureFixture[str], engine: Engine) -> None:
    assert quiet_score(capfd, dataset_of(), [], COCO, engine).metrics["AP"] is None


def test_scores_are_json() -> None:
    result = score(dataset_of(annotated(1, [(0, A)])), [row(1, A, 0.5)], COCO)
    content = json.loads(result.model_dump_json())
    keys = ["protocol", "protocol_version", "engine", "metrics", "per_class", "curves", "images"]
    assert list(content) == keys
    assert (content["protocol"], content["protocol_version"]) == ("coco", 1)
    assert content["metrics"]["AP_L"] is None
    assert Scores.model_validate(content) == result


# --- requests that are wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_id": 99}, "image_id 99 is not an image of test split"),
        ({"category_id": 99}, "category_id 99 is not a class of test split"),
        ({"score": math.nan}, "score nan is not finite"),
    ],
)
def test_bad_rows(changes: dict[str, Any], words: str) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]))
    bad = cast(DetectionRow, {**row(1, A, 0.5), **changes})
    with pytest.raises(DataError, match=f"row 2 of 3: .*{words}"):
        score(dataset, [row(1, A, 0.5), bad, row(1, A, 0.5)], COCO)


def test_ambiguous_class_names() -> None:
    for classes in (("car", "all"), ("car", "car")):
        with pytest.raises(DataError, match=f"class name '{classes[1]}' is (taken|used twice)"):
            score(dataset_of(annotated(1), classes=classes), [], COCO)


@pytest.mark.parametrize("limits", [(), (100, 10), (1, 1)])
def test_limits_must_rise(limits: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match="must rise"):
        score(dataset_of(annotated(1)), [], replace(COCO, max_dets=limits))
