"""Checkpoints written in a thread: of the state as it was, whole, and no error is lost."""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.errors import DiskFull
from sobench.training import checkpoint
from sobench.training.checkpoint_files import list_checkpoints, step_of
from sobench.training.checkpoint_writer import CheckpointWriter, copy_to_host
from sobench.training.optimizer import make_optimizer
from sobench.training.state import TrainState, checkpoint_of
from tests.tiny_suite import tiny_run
from tests.training.fake_cuda import CUDA, fake_cuda
from tests.training.rehearsal import Case, built, planned


def test_what_changes_after_a_save_does_not_get_into_the_file(tmp_path: Path) -> None:
    weight = torch.zeros(1000)
    with CheckpointWriter(tmp_path) as writer:
        for step in (1, 2, 3):
            weight += 1
            writer.save(step, {"model": {"w": weight}, "steps": [torch.tensor(step)]})
            weight += 100
    assert [step_of(path) for path in list_checkpoints(tmp_path)] == [2, 3]
    state = checkpoint.load(list_checkpoints(tmp_path)[-1])
    assert torch.equal(state["model"]["w"], torch.full((1000,), 203.0))
    assert state["steps"] == [torch.tensor(3)]


def test_a_copy_is_as_the_state_of_a_training() -> None:
    """Values, types, strides and the versions of modules, and no memory in common."""
    run = tiny_run(schedule={"optimizer": "adamw"})
    detector = built(run, torch.device("cpu"))
    optimizer = make_optimizer(detector, run.suite.schedule)
    for weight in detector.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    state = checkpoint_of(run.id, detector, optimizer, TrainState())
    copied, arrived = copy_to_host(state)
    assert arrived is None
    assert copied.keys() == state.keys()
    assert type(copied["model"]) is OrderedDict
    assert copied["model"]._metadata == state["model"]._metadata  # type: ignore[attr-defined]
    moments = copied["optimizer"]["state"]
    assert moments.keys() == state["optimizer"]["state"].keys()
    for name, value in state["model"].items():
        copy = copied["model"][name]
        assert torch.equal(copy, value)
        assert copy.stride() == value.stride()
        assert copy.data_ptr() != value.data_ptr()
    detector.load_state_dict(copied["model"])
    optimizer.load_state_dict(copied["optimizer"])


class _Slow:
    """Stands for ``checkpoint.save`` and is as slow as it is told."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.steps: list[int] = []

    def save(self, folder: Path, step: int, state: dict[str, Any]) -> Path:
        del state
        assert self.go_on.wait(20)
        self.steps.append(step)
        return folder


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> _Slow:
    stands_in = _Slow()
    monkeypatch.setattr("sobench.training.checkpoint_writer.checkpoint", stands_in)
    return stands_in


def test_a_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path, slow: _Slow) -> None:
    with CheckpointWriter(tmp_path) as writer:
        writer.save(1, {})
        writer.check()
        assert slow.steps == []
        slow.go_on.set()
        writer.save(2, {})
        assert slow.steps[:1] == [1]
        writer.wait()
        assert slow.steps == [1, 2]
        writer.save(3, {})
    assert slow.steps == [1, 2, 3]


def test_a_write_is_finished_before_an_error_leaves_the_training(
    tmp_path: Path, slow: _Slow
) -> None:
    """Else the folder's lock would be given up while somebody still writes in it."""
    writer = CheckpointWriter(tmp_path)
    with pytest.raises(KeyboardInterrupt), writer:  # noqa: PT012
        writer.save(1, {})
        threading.Timer(0.1, slow.go_on.set).start()
        raise KeyboardInterrupt
    assert slow.steps == [1]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["save", "check", "wait", "end"])
def test_a_full_disk_comes_out_of_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr("sobench.files.os.fsync", full)
    writer = CheckpointWriter(tmp_path)
    with pytest.raises(DiskFull, match="the disk is full"), writer:  # noqa: PT012
        writer.save(1, {"w": torch.zeros(10)})
        if call == "save":
            writer.save(2, {})
        while call == "check":
            writer.check()
        if call == "wait":
            writer.wait()
    assert not list(tmp_path.iterdir())


def test_another_error_goes_before_that_of_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sobench.files.os.fsync", full)
    with pytest.raises(ZeroDivisionError), CheckpointWriter(tmp_path) as writer:  # noqa: PT012
        writer.save(1, {"w": torch.zeros(10)})
        raise ZeroDivisionError


def test_nobody_waits_for_the_copy_of_a_gpu() -> None:
    run = planned(Case("fpn"))
    with fake_cuda() as log:
        detector = built(run, CUDA)
        optimizer = make_optimizer(detector, run.suite.schedule)
        log.waits.clear()
        state = {"model": detector.state_dict(), "optimizer": optimizer.state_dict()}
        copied, arrived = copy_to_host(state)
        assert arrived is not None
        assert not any(value.is_cuda for value in copied["model"].values())
        assert log.waits == []
