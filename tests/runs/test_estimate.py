"""What a run will cost, from a few of its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.data.load import load
from sobench.runs import estimate as estimating
from sobench.runs.estimate import Estimate, estimate
from sobench.suite.plan import plan
from sobench.training.outcome import StepOutcome
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")


def estimated(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Estimate:
    """The estimate of a suite's first row, under a clock that a step moves by 1 s."""
    clock = [0.0]

    def tick(*_: object, **__: object) -> StepOutcome:
        clock[0] += 1.0
        return StepOutcome((), torch.zeros(1))

    monkeypatch.setattr(estimating, "train_step", tick)
    monkeypatch.setattr(estimating, "detect", tick)
    monkeypatch.setattr(estimating, "perf_counter", lambda: clock[0])
    suite = tiny_suite(**changes)
    (run,) = plan(suite, "")
    train, val = (load(suite.dataset, split) for split in ("train", "val"))
    return estimate(run, train, val, CPU)


def test_steps_and_detections_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = estimated(monkeypatch)
    # Seven images in batches of two, three epochs; all three val images take a second.
    assert (found.steps, found.step_s, found.epoch_s) == (9, 1.0, 3.0)
    assert found.detect_s == pytest.approx(1.0)
    assert found.seconds == pytest.approx(10.0)
    assert not found.images_2x


def test_further_tests_count_by_their_area(monkeypatch: pytest.MonkeyPatch) -> None:
    found = estimated(monkeypatch, eval_sizes=[[128, 128]], evaluate_every=2)
    # The input itself once at the end and once in between, and one of four times its area.
    assert found.detect_s == pytest.approx(6.0)


def test_stages_have_steps_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = estimated(monkeypatch, methods=["efpn"])
    assert found.images_2x
    assert found.steps > 9
    assert found.step_s == pytest.approx(1.0)


def test_a_real_step_leaves_the_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = tiny_suite()
    (run,) = plan(suite, "")
    train, val = (load(suite.dataset, split) for split in ("train", "val"))
    found = estimate(run, train, val, CPU)
    assert found.seconds > 0
    assert found.memory_mb is None or found.memory_mb > 100
    # Weights of ResNet-18 in float32, and SGD's momentum beside them in both checkpoints.
    assert found.result_bytes > 4 * 11_000_000
    assert found.checkpoint_bytes > 2 * 2 * 4 * 11_000_000 * 0.9
    assert list(tmp_path.iterdir()) == []
