"""Every metric at its own overlap: detections that overlap a little more or less than asked."""

from __future__ import annotations

import pytest

from tests.metrics.scoring_cases import (
    COCO,
    Engine,
    annotated,
    both_engines,
    dataset_of,
    row,
    score,
)


@both_engines
@pytest.mark.parametrize("percent", range(45, 100, 5))
def test_a_detection_counts_up_to_its_overlap(engine: Engine, percent: int) -> None:
    """A box of 100 px, found as its left ``percent + 2`` px: an overlap of as many hundredths."""
    dataset = dataset_of(annotated(1, [(0, (100, 100, 100, 100))]))
    found = [row(1, (100, 100, percent + 2, 100), 0.9)]
    metrics = score(dataset, found, COCO, engine).metrics
    passed = sum(threshold <= percent for threshold in range(50, 100, 5))
    assert metrics["AP"] == pytest.approx(passed / 10)
    assert metrics["AR@1"] == pytest.approx(passed / 10)
    assert metrics["AP50"] == pytest.approx(float(percent >= 50))
    assert metrics["AP75"] == pytest.approx(float(percent >= 75))


@both_engines
def test_curves_are_at_the_overlaps_of_their_names(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, (100, 100, 100, 100))]))
    curves = score(dataset, [row(1, (100, 100, 72, 100), 0.9)], COCO, engine).curves["all"]
    assert curves["0.50"] == pytest.approx([1.0] * 101)
    assert curves["0.75"] == [0.0] * 101
    assert curves["mean"] == pytest.approx([0.5] * 101)
