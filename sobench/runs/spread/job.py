"""What a worker does of a spread matrix: one run, by the same function as in a single process."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from sobench.device import choose_device
from sobench.errors import RequestError, RunLocked, SobenchError, reason_of
from sobench.runs.choice import POLL_SECONDS
from sobench.runs.matrix import Task, work_off
from sobench.runs.processes import check_processes
from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.training.progress import TrainProgress

PASSED_ON = ("SOBENCH_CACHE", "SOBENCH_LEASE_SECONDS", "SOBENCH_LOCAL")
"""Variables that workers have from the process that spreads the runs."""


@dataclass(frozen=True)
class Job:
    """A run that a worker is to do.

    Attributes:
        task: the run and what is to be done with it.
        results: folder of all results, an absolute path that all workers see.
        mark: a file in it, by which a worker knows the folder.
        device: as ``choose_device`` takes it.
        environment: variables of ``PASSED_ON``.
        processes: that share the training.
    """

    task: Task
    results: Path
    mark: str
    device: str
    checkpoint_seconds: float
    environment: tuple[tuple[str, str], ...] = ()
    processes: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        record: of the run; ``None`` if it could leave none.
        fresh: whether the run was not done before.
        warnings: that the worker has for the user.
        problem: why there is no record; empty if there is one.
    """

    record: Record | None
    fresh: bool = False
    warnings: tuple[str, ...] = ()
    problem: str = ""


def do_job(job: Job) -> Outcome:
    """Do a run in this process, once whoever else works on it has ended; raises no error of ours.

    A worker that takes the place of one that is lost goes on from its last checkpoint.
    """
    os.environ.update(job.environment)
    told = _Told()
    try:
        _check_results(job)
        device = choose_device(job.device)
        check_processes(device, job.processes)
        while True:
            try:
                outcome, fresh = work_off(
                    job.task, 1, 1, job.results, device, told, job.checkpoint_seconds, job.processes
                )
            except RunLocked:  # by a lost worker, or by a process that shares the folder
                sleep(POLL_SECONDS)
                continue
            return Outcome(outcome, fresh, tuple(told.warnings))
    except (SobenchError, OSError) as error:
        problem = f"{reason_of(error)} (on {socket.gethostname()})"
        return Outcome(None, warnings=tuple(told.warnings), problem=problem)


def _check_results(job: Job) -> None:
    """Make sure that this machine has the folder of results, and not one of the same name.

    Raises:
        RequestError: it has not.
    """
    if not (job.results / job.mark).exists():
        raise RequestError(
            f"{job.results}: the worker does not see this folder of results; --results must name "
            "one on a file system that all machines share"
        )


class _Told:
    """Notes warnings; how far the run is, others read from its files."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def on_stage(self, text: str) -> None: ...
    def on_step(self, progress: TrainProgress) -> None: ...
    def on_images(self, done: int, total: int) -> None: ...
    def on_run_start(self, run: Run, number: int, total: int) -> None: ...
    def on_run_end(self, run: Run, record: Record, fresh: bool) -> None: ...
    def on_wait(self, runs: Sequence[Run], reason: str) -> None: ...
