"""Losses that are read a step late, as those of a GPU, change nothing but when they are told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from sobench.errors import Diverged
from sobench.training import checkpoint
from sobench.training.checkpoint_files import list_checkpoints
from tests.tiny_suite import tiny_run
from tests.training.test_loop import StopError
from tests.training.test_loop import _log as read_log
from tests.training.test_loop import _train as train_tiny


@pytest.fixture
def _read_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are read a step late, as they are from a GPU."""
    monkeypatch.setattr("sobench.training.loop.steps_late", lambda _: 1)


@pytest.mark.usefixtures("_read_late")
def test_losses_that_are_read_late_are_told_of_the_right_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, one, told = train_tiny(tiny_run(evaluate_every=1), tmp_path / "late", every=0.05)
    monkeypatch.undo()
    at_once, two, expected = train_tiny(tiny_run(evaluate_every=1), tmp_path / "at once")
    assert [(p.step, p.epoch, p.lr, p.losses) for p in told] == [
        (p.step, p.epoch, p.lr, p.losses) for p in expected
    ]
    assert (late.epochs, late.first, late.last) == (at_once.epochs, at_once.first, at_once.last)
    assert read_log(tmp_path / "late") == read_log(tmp_path / "at once")
    for (name, a), b in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.usefixtures("_read_late")
@pytest.mark.parametrize("every", [0, 1e9])
@pytest.mark.parametrize("stop_at", [4, 7])
def test_a_training_stopped_with_losses_on_their_way_ends_as_if_it_had_not_been(
    tmp_path: Path, stop_at: int, every: float
) -> None:
    """Whether a checkpoint follows every step or none but the last."""
    whole, reference, _ = train_tiny(tiny_run(), tmp_path / "whole")
    with pytest.raises(StopError):
        train_tiny(tiny_run(), tmp_path / "cut", stop_at, every=every)
    state, detector, seen = train_tiny(tiny_run(), tmp_path / "cut")
    assert seen[0].step == (stop_at if every == 0 else 1)
    assert (state.epochs, state.last, state.first) == (whole.epochs, whole.last, whole.first)
    for name, tensor in reference.state_dict().items():
        assert torch.equal(tensor, detector.state_dict()[name]), name
    assert read_log(tmp_path / "cut") == read_log(tmp_path / "whole")


@pytest.mark.usefixtures("_read_late")
def test_a_loss_that_is_not_finite_is_found_a_step_later_and_never_stored(tmp_path: Path) -> None:
    run = tiny_run(schedule={"lr": 1e12, "clip_norm": None})
    with pytest.raises(Diverged, match=r"at step \d+: class \S+, box \S+, total \S+"):
        train_tiny(run, tmp_path, every=0)
    for path in list_checkpoints(tmp_path):
        history = json.loads(checkpoint.load(path)["history"])
        assert all(math.isfinite(value) for value in history["last"].values())
