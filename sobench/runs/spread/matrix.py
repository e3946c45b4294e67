"""The runs of a plan, handed to an engine that has workers on many devices."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol

from sobench.errors import RunError
from sobench.files import write_atomic
from sobench.runs.callbacks import MatrixProgressCallback
from sobench.runs.matrix import Task, open_tasks
from sobench.runs.record import Record
from sobench.runs.spread.job import PASSED_ON, Job, Outcome
from sobench.runs.status import RunStatus, known_status
from sobench.suite.plan import Run

LOOKS_SECONDS = 1.0
"""Time between two looks at what is done."""

_SHARE = 0.1
"""Of the time, at most, that is spent on reading how far the runs are."""

Handle = Any
"""What an engine knows a job by."""


class Engine(Protocol):
    """Workers somewhere.

    Attributes:
        slots: jobs that it takes at a time; ``None`` if it takes all, and itself begins a job when
            those that it comes after have ended.
    """

    slots: int | None

    def submit(self, jobs: Sequence[Job], after: Sequence[Handle]) -> list[Handle]:
        """Hand over jobs that may begin when those of ``after`` have ended, however they did."""

    def outcome(self, handle: Handle) -> Outcome | None:
        """What became of a job, or ``None`` as long as it has not ended."""

    def cancel(self, handles: Sequence[Handle]) -> None:
        """End jobs, which keep what they have done."""

    def close(self) -> None:
        """Let go of the workers."""


class SpreadCallback(MatrixProgressCallback, Protocol):
    """Told of the progress of many runs at a time."""

    def on_statuses(self, statuses: Sequence[RunStatus], done: int) -> None:
        """How far the runs are that are not done, of which some may wait; called repeatedly."""


@dataclass(frozen=True)
class Settings:
    """How workers do their runs: see ``Job``."""

    results: Path
    device: str
    checkpoint_seconds: float
    processes: int = 1


def spread_matrix(
    runs: Sequence[Run],
    settings: Settings,
    engine: Engine,
    failed: Callable[[Run, RunError], Record],
    callback: SpreadCallback,
) -> Iterator[Record]:
    """The record of every run and of those that they require, as they end; see ``run_matrix``.

    Args:
        failed: the record of a run that could leave none.

    Raises:
        RequestError: no row that is to be trained can be; raised before anything is handed over.
        DataError: the data are wrong, which concerns every run.
    """
    tasks = open_tasks(runs, settings.results, callback)
    total = len(tasks)
    open_runs: dict[str, Task] = {}
    for number, task in enumerate(tasks, 1):
        if task.is_done and task.found.record is not None:
            callback.on_run_start(task.run, number, total)
            callback.on_run_end(task.run, task.found.record, fresh=False)
            yield task.found.record
        else:
            open_runs[task.id] = task
    handles: dict[str, Handle] = {}
    look = _Looks(settings.results, callback)
    with _mark(settings.results) as mark:
        try:
            while open_runs:
                while groups := _ready(open_runs, handles, engine.slots):
                    for group in groups:
                        jobs = [_job(task, settings, mark) for task in group]
                        after = [handles[i] for i in group[0].builds_on if i in open_runs]
                        submitted = engine.submit(jobs, after)
                        handles |= zip([task.id for task in group], submitted, strict=True)
                for task in [task for task in open_runs.values() if task.id in handles]:
                    outcome = engine.outcome(handles[task.id])
                    if outcome is not None:
                        del open_runs[task.id]
                        yield _told(task, outcome, total - len(open_runs), total, failed, callback)
                look(list(open_runs.values()), total)
        except BaseException:
            engine.cancel([handles[i] for i in open_runs if i in handles])
            raise


def _told(
    task: Task,
    outcome: Outcome,
    number: int,
    total: int,
    failed: Callable[[Run, RunError], Record],
    callback: SpreadCallback,
) -> Record:
    """The record of a run that has ended; tells the user of it."""
    callback.on_run_start(task.run, number, total)
    for warning in outcome.warnings:
        callback.warn(warning)
    record = outcome.record or failed(task.run, RunError(outcome.problem))
    callback.on_run_end(task.run, record, outcome.fresh)
    return record


def _ready(
    open_runs: dict[str, Task], handles: dict[str, Handle], slots: int | None
) -> list[list[Task]]:
    """Groups of jobs that can be handed over now, those of a group after the same other jobs."""
    groups: dict[tuple[str, ...], list[Task]] = {}
    room = None if slots is None else slots - sum(i in handles for i in open_runs)
    for task in open_runs.values():
        waits_for = tuple(i for i in task.builds_on if i in open_runs)
        known = all(i in handles for i in waits_for) if slots is None else not waits_for
        if task.id not in handles and known and (room is None or room > 0):
            room = None if room is None else room - 1
            groups.setdefault(waits_for, []).append(task)
    return list(groups.values())


def _job(task: Task, settings: Settings, mark: str) -> Job:
    environment = tuple((name, os.environ[name]) for name in PASSED_ON if os.environ.get(name))
    return Job(
        task, settings.results.absolute(), mark, settings.device, settings.checkpoint_seconds,
        environment, settings.processes,
    )  # fmt: skip


@contextmanager
def _mark(results: Path) -> Iterator[str]:
    """A file by which workers know the folder of results, as long as there are jobs."""
    name = f".spread-{secrets.token_hex(8)}"
    write_atomic(results / name, b"")
    try:
        yield name
    finally:
        (results / name).unlink(missing_ok=True)


class _Looks:
    """Reads how far runs are, so often that it takes little of the time."""

    def __init__(self, results: Path, callback: SpreadCallback) -> None:
        self.results, self.callback = results, callback
        self.next_look = 0.0

    def __call__(self, tasks: Sequence[Task], total: int) -> None:
        began = monotonic()
        if tasks and began >= self.next_look:
            statuses = known_status([task.run for task in tasks], self.results)
            self.callback.on_statuses(statuses, total - len(tasks))
            ended = monotonic()
            self.next_look = ended + max(LOOKS_SECONDS, (ended - began) / _SHARE)
        sleep(LOOKS_SECONDS / 4)
