from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch

from sobench.errors import RequestError
from sobench.runs import record
from sobench.runs.matrix import run_matrix
from sobench.runs.processes import check_processes
from sobench.runs.record import Record
from sobench.training.progress import TrainProgress
from tests.runs.matrices import CPU, Recorder, planned
from tests.tiny_suite import tiny_suite


class Watcher(Recorder):
    """Does something once, after a step."""

    def __init__(self, after: int = 0, act: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.after, self.act = after, act
        self.steps: list[int] = []

    def on_step(self, progress: TrainProgress) -> None:
        self.steps.append(progress.step)
        if self.act is not None and progress.step == self.after:
            act, self.act = self.act, None
            act()


def trained(
    results: Path,
    watcher: Watcher,
    processes: int,
    checkpoint_seconds: float = 60.0,
    lr: float = 0.005,
) -> Record:
    suite = tiny_suite(
        dataset={"train": 4, "val": 2},
        input={"size": [32, 32]},
        schedule={"epochs": 4, "lr": lr, "milestones": []},
    )
    (outcome,) = run_matrix(planned(suite), results, CPU, watcher, checkpoint_seconds, processes)
    return outcome


def kill_the_second() -> None:
    second = sorted(child.pid or 0 for child in active_children())[1]
    os.kill(second, signal.SIGKILL)


def test_a_run_in_two_processes_is_that_of_one(tmp_path: Path) -> None:
    one, two = (trained(tmp_path / str(n), Watcher(), n) for n in (1, 2))
    assert two.status == "ok"
    assert two.first_losses == pytest.approx(one.first_losses, abs=0.02)  # float32, trained norms
    assert two.first_losses[0] == pytest.approx(one.first_losses[0], abs=1e-5)
    assert two.run_id == one.run_id
    assert two.environment is not None
    assert (two.environment.processes, two.environment.backend) == (2, "gloo")
    assert two.cost is not None
    assert (two.cost.peak_memory_mb or 0) > 0
    assert record.read_sound(tmp_path / "2" / "tiny" / "fpn" / two.run_id) == two


@pytest.mark.slow
def test_a_killed_process_is_started_again_and_resumes(tmp_path: Path) -> None:
    watcher = Watcher(5, kill_the_second)
    outcome = trained(tmp_path / "killed", watcher, 2, checkpoint_seconds=0)
    assert outcome.status == "ok"
    (warning,) = watcher.warnings
    assert "process 2 of 2 was killed by SIGKILL; the run goes on from its last" in warning
    assert sorted(set(watcher.steps)) == list(range(1, 9))
    assert watcher.steps.count(2) == 1  # it went on from a checkpoint, not from the beginning
    whole = trained(tmp_path / "whole", Watcher(), 2)
    assert (outcome.first_losses, outcome.last_loss) == (whole.first_losses, whole.last_loss)
    assert outcome.digests == whole.digests


@pytest.mark.slow
def test_a_loss_that_diverges_ends_all_processes(tmp_path: Path) -> None:
    watcher = Watcher()
    outcome = trained(tmp_path, watcher, 2, lr=1e30)
    assert outcome.status == "diverged"
    assert "not finite" in outcome.reason
    assert watcher.warnings == []
    assert "Diverged" in (tmp_path / "tiny" / "fpn" / outcome.run_id / "error.txt").read_text()
    assert active_children() == []


@pytest.mark.slow
def test_what_the_progress_raises_ends_all_processes(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("the terminal is gone")

    outcome = trained(tmp_path, Watcher(2, fail), 2)
    assert (outcome.status, active_children()) == ("failed", [])
    assert outcome.reason.startswith("RuntimeError: the terminal is gone")


def test_gpus_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_processes(CPU, 5)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_processes(torch.device("cuda"), 2)
    with pytest.raises(RequestError, match=r"--gpus-per-run 3: torch sees 2 CUDA device"):
        check_processes(torch.device("cuda"), 3)
    with pytest.raises(RequestError, match="leave out --device cuda:1"):
        check_processes(torch.device("cuda", 1), 2)
