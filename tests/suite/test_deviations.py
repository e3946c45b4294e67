"""Rows that deviate from their suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sobench.suite.reader import load, with_deviations
from tests.suite.suite_texts import fpn, text_of
from tests.tiny_suite import tiny_suite


def test_deviations_replace_values_of_the_suite(tmp_path: Path) -> None:
    suite = tiny_suite(
        methods=[
            "ssd",
            *fpn(**{"schedule.lr": 0.5, "schedule.warmup": {"steps": 9}, "reason": "needs it"}),
        ]
    )
    plain, other = (with_deviations(suite, row, tmp_path) for row in suite.methods)
    assert plain is suite
    assert (other.schedule.lr, other.schedule.warmup.steps) == (0.5, 9)
    assert other.schedule.epochs == suite.schedule.epochs
    assert other.input == suite.input


@pytest.mark.parametrize(
    ("anchors", "deviations", "expected"),
    [
        # anchors of a RetinaNet suite, beside `head: faster_rcnn` -> sizes and octaves of the row
        ({}, {}, (32.0, 1)),
        ({"ratios": [1]}, {}, (32.0, 1)),
        ({"smallest": 3}, {}, (3.0, 1)),
        ({"octaves": 2}, {}, (32.0, 2)),
        ({"smallest": 4, "octaves": 3}, {}, (4.0, 1)),  # RetinaNet's octaves, written out
        ({}, {"anchors.smallest": 4}, (4.0, 1)),
        ({"smallest": 3}, {"anchors.smallest": 4, "anchors.octaves": 3}, (4.0, 3)),
        ({}, {"anchors": {"octaves": 2}}, (32.0, 2)),
    ],
    ids=str,
)
def test_anchors_follow_the_head_of_a_deviation(
    tmp_path: Path,
    anchors: dict[str, Any],
    deviations: dict[str, Any],
    expected: tuple[float, int],
) -> None:
    for changes in (deviations | {"head": "faster_rcnn"}, {"head": "faster_rcnn"} | deviations):
        path = tmp_path / "a.yaml"
        rows = ["fpn", {"name": "fpn", "label": "b", "deviations": changes | {"reason": "why not"}}]
        path.write_text(text_of(anchors=anchors, methods=rows))
        suite = load(path)
        plain, other = (with_deviations(suite, row, path) for row in suite.methods)
        assert plain is suite
        assert (other.anchors.smallest, other.anchors.octaves) == expected
        assert other.anchors.ratios == suite.anchors.ratios


def test_anchors_stay_with_the_head(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        text_of(anchors={"smallest": 3}, methods=fpn(**{"neck.channels": 8, "reason": "x"}))
    )
    suite = load(path)
    assert with_deviations(suite, suite.methods[0], path).anchors == suite.anchors
