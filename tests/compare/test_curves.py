from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sobench.compare.curves import (
    ALL,
    Part,
    curves_by_size,
    stored_curves,
)
from sobench.metrics.curves import precision_at_recalls
from sobench.suite.protocols import PROTOCOLS
from tests.compare.hand_made import hand_made
from tests.compare.recorded import recorded_rows
from tests.records import scored


def test_curves_from_matches_are_those_of_the_engine() -> None:
    scores, matches = recorded_rows()["mrae"][1]
    for iou, threshold in (("0.50", 0), ("0.75", 5)):
        for label, name in enumerate(matches.classes):
            outcome = matches.outcome[0, threshold][matches.label == label]
            objects = int(matches.num_objects[0, :, label].sum())
            found = precision_at_recalls(outcome, objects)
            assert found == pytest.approx(np.array(scores.curves[name][iou], float), abs=1e-12)


def test_areas_by_size_are_the_metrics_of_that_size() -> None:
    rows = recorded_rows()
    matched = {label: {s: m for s, (_, m) in of_row.items()} for label, of_row in rows.items()}
    curves = curves_by_size(matched, PROTOCOLS["coco"])
    assert [part.name for part in curves] == ["S", "M", "L"]
    # AP_S is over ten thresholds, of which these are two; so the order is looked at.
    for name in ("S", "M"):
        fifty, seventy_five = (curves[Part("size", name)][iou]["ssd"] for iou in ("0.50", "0.75"))
        ap = np.mean([s.metrics[f"AP_{name}"] or 0.0 for s, _ in rows["ssd"].values()])
        assert seventy_five.mean() < fifty.mean()
        assert ap < fifty.mean()


def test_one_class_by_hand() -> None:
    # Three objects; true, false, true, and one that is ignored.
    found = precision_at_recalls(np.array([1, 0, -1, 1], np.int8), 3)
    assert found[:34] == pytest.approx(np.ones(34))  # up to recall 1/3
    assert found[34:67] == pytest.approx(np.full(33, 2 / 3))  # up to 2/3
    assert found[67:] == pytest.approx(np.zeros(34))


def test_stored_curves_are_averaged_and_undefined_ones_left_out() -> None:
    def of(value: float) -> dict[str, list[float | None]]:
        return {"0.50": [value] * 101}

    first = scored(0.5, curves={"all": of(0.2), "car": of(0.4), "bus": {"0.50": [None] * 101}})
    second = scored(0.5, curves={"all": of(0.4), "car": {"0.50": [0.5]}})
    curves = stored_curves({"fpn": [first, second], "ssd": []})
    assert set(curves) == {ALL, Part("class", "car")}
    assert curves[ALL]["0.50"]["fpn"] == pytest.approx(np.full(101, 0.3))
    assert curves[Part("class", "car")]["0.50"]["fpn"] == pytest.approx(np.full(101, 0.4))
    assert stored_curves({}) == {}


def test_a_size_without_objects_has_no_curve() -> None:
    matches = hand_made([(0.9, 0)])
    counts = matches.num_objects.copy()
    counts[2] = 0
    curves = curves_by_size({"fpn": {0: replace(matches, num_objects=counts)}}, PROTOCOLS["coco"])
    assert [part.name for part in curves] == ["S", "L"]
