"""The runs of a plan, one after the other: skip those that are done, resume the half-done ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep

import torch

from sobench.data.check import checked_splits
from sobench.device_use import using
from sobench.errors import LeaseLost, RequestError, RunError, RunLocked, reason_of
from sobench.files import remove_orphans
from sobench.models.start import check_renamed
from sobench.runs.callbacks import MatrixProgressCallback
from sobench.runs.choice import next_run, pause_seconds
from sobench.runs.execute import execute, rescore, tidy
from sobench.runs.failures import failure, record_failure
from sobench.runs.folder import RunFolder
from sobench.runs.matches import match_again
from sobench.runs.record import Record
from sobench.runs.refusals import is_refused, refused_rows
from sobench.runs.state import RunState, States, read_states
from sobench.suite.further_tests import without_further_tests
from sobench.suite.plan import Run, with_required


@dataclass(frozen=True)
class Task:
    """A run that is due.

    Attributes:
        found: its state before the matrix began.
        is_trained: whether it is to be trained, for itself or for the weights that another needs.
        refusal: why its row cannot be trained or tested, if it cannot.
    """

    run: Run
    found: RunState
    is_trained: bool
    refusal: RequestError | None

    @property
    def id(self) -> str:
        """Of the run, whatever its data."""
        return self.run.settings_id

    @property
    def builds_on(self) -> list[str]:
        """Ids of the runs whose weights its training needs."""
        return [required.settings_id for _, required in self.run.requires if self.is_trained]

    @property
    def is_done(self) -> bool:
        """Whether nothing is to be done, so that its folder need not be held."""
        return self.is_settled and not self.found.is_unmatched

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be done but to match what it has detected."""
        return self.found.name in ("done", "diverged") and not self.is_trained


def run_matrix(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    callback: MatrixProgressCallback,
    checkpoint_seconds: float = 60.0,
    processes: int = 1,
) -> Iterator[Record]:
    """The record of every run, and of the runs that they require, which come before them.

    A run that is done is not done again; only its scores are brought up to the suite's protocol. A
    run that diverged would do so again, so it stays as it is until its folder is deleted; one that
    failed for another reason is tried again. The runs that a run requires are not asked for if the
    run itself is done. Runs that other processes hold are passed over, and come back to at the end.

    Raises:
        RequestError: no row that is to be trained can be; raised before anything is trained.
        DataError: the data are wrong, which concerns every run.
    """
    waiting = open_tasks(runs, results, callback)
    total, number = len(waiting), 1
    held: dict[str, tuple[Run, RunLocked]] = {}
    has_moved, waited = False, 0.0
    while waiting:
        task = next_run(waiting, held.keys())
        if task is None:  # all that is left is held by others, or builds on what they hold
            if not has_moved:
                callback.on_wait(
                    [run for run, _ in held.values()], str(next(iter(held.values()))[1])
                )
                pause = pause_seconds(waited)
                sleep(pause)
                waited += pause
            held, has_moved = {}, False
            continue
        try:
            outcome, fresh = work_off(
                task, number, total, results, device, callback, checkpoint_seconds, processes
            )
        except RunLocked as error:
            if isinstance(error, LeaseLost):
                callback.warn(f"{task.run.name}: {error}; it is left to that one")
            held[task.id] = (task.run, error)
            continue
        waiting.remove(task)
        number, has_moved = number + 1, True
        if fresh:  # that took a while: what was held may be free
            held, waited = {}, 0.0
        callback.on_run_end(task.run, outcome, fresh)
        yield outcome


def open_tasks(runs: Sequence[Run], results: Path, callback: MatrixProgressCallback) -> list[Task]:
    """The runs that are due, once what finished runs left is tidied up; warns of what is lost.

    Raises:
        RequestError: no row that is to be trained can be.
        DataError: the data are wrong, which concerns every run.
    """
    every_run = with_required(runs)
    states = read_states(every_run, results, check_matches=True)
    if _tidied([(RunFolder.of(run, results), states[run.settings_id]) for run in every_run]):
        # A damaged checkpoint may have gone.
        states = read_states(every_run, results, check_matches=True)
    tasks = due_tasks(runs, states)
    # What is required by runs that are done is not made anew, so it is not spoken of.
    for damage in dict.fromkeys(task.found.damage for task in tasks if task.found.damage):
        callback.warn(f"{damage}; it is left out, and the run is made anew")
    for task in tasks:
        if task.is_trained and task.found.record is not None and task.found.record.scores:
            reason = task.found.reason or "its weights are gone, which another run needs"
            callback.warn(f"{task.run.name}: {reason}; the run is made anew")
    check_data([task.run for task in tasks if task.is_trained], callback.warn)
    return tasks


def due_tasks(runs: Sequence[Run], states: States) -> list[Task]:
    """The runs that are due, in order, each with what is to be done with it; writes nothing.

    Args:
        states: of the runs and of those that they require.

    Raises:
        RequestError: no row that is to be trained can be.
    """
    training = _to_train(runs, states)
    due = with_required(runs, lambda run: run.settings_id in training)
    refused = refused_rows(due, states, training)
    unfinished = [run for run in runs if states[run.settings_id].name not in ("done", "diverged")]
    if refused and all(is_refused(run, refused, training) for run in unfinished):
        raise next(iter(refused.values()))
    # What only a refused run requires is not trained for it.
    due = with_required(runs, lambda run: run.settings_id in training and run.row_id not in refused)
    return [
        Task(
            run, states[run.settings_id], run.settings_id in training, refused.get(run.row_id)
        )
        for run in due
    ]  # fmt: skip


def check_data(runs: Sequence[Run], warn: Callable[[str], None]) -> None:
    """Check each data set that is to be trained on, once and before anything is trained.

    Raises:
        DataError: the data are wrong, or the classes of weights that a run starts from.
    """
    # The runs have no need to read these annotations again; where all is done, nothing is read.
    parts = ((run.suite.dataset, run.limit, run.holdout, run.data) for run in runs)
    for spec, limit, holdout, data in dict.fromkeys(parts):
        splits, warnings = checked_splits(spec, limit, holdout, data)
        for warning in warnings:
            warn(warning)
        for run in runs:
            if run.origin is not None and (run.suite.dataset, run.limit) == (spec, limit):
                check_renamed(run.suite.init_classes, splits["train"].classes)


def work_off(
    task: Task,
    number: int,
    total: int,
    results: Path,
    device: torch.device,
    callback: MatrixProgressCallback,
    checkpoint_seconds: float,
    processes: int = 1,
) -> tuple[Record, bool]:
    """Bring a run as far as it can come; its record, and whether this process made it.

    Raises:
        RunLocked: another process holds the run.
    """
    run, folder = task.run, RunFolder.of(task.run, results)
    if task.is_done and task.found.record is not None:
        callback.on_run_start(run, number, total)
        return task.found.record, False
    try:
        with folder.lock(), using(device):
            remove_orphans(folder.path)
            callback.on_run_start(run, number, total)
            # Another process may have come further with it since the states were read.
            state = read_states([run], results, check_matches=True)[run.settings_id]
            if state.is_unmatched and state.record is not None:
                match_again(run, results, state.record, callback)
            if _is_settled(task, state) and state.record is not None:
                return state.record, False
            if not _is_to_train(state, task.is_trained) and state.record is not None:
                if task.refusal is not None:
                    callback.warn(f"{run.name}: not all further tests are done: {task.refusal}")
                    run = replace(run, suite=without_further_tests(run.suite))
                return rescore(run, results, state.record, device, callback), True
            if task.refusal is not None:
                return record_failure(run, results, device, callback, task.refusal), True
            return execute(run, results, device, callback, checkpoint_seconds, processes), True
    except (OSError, RunLocked) as error:  # the folder itself cannot be used
        if task.is_settled and task.found.record is not None:  # but read
            callback.on_run_start(run, number, total)
            return task.found.record, False
        if isinstance(error, RunLocked):
            raise
        callback.on_run_start(run, number, total)
        return failure(run, RunError(reason_of(error)), device), True


def _is_settled(task: Task, state: RunState) -> bool:
    """Whether nothing is left to do: it is done, or another process has just failed at it."""
    has_failed = state.record is not None and state.record.status == "failed"
    if has_failed and state.record != task.found.record:
        return True
    return state.name in ("done", "diverged") and not _is_to_train(state, task.is_trained)


def _tidied(folders: Sequence[tuple[RunFolder, RunState]]) -> bool:
    """Delete what was left of finished runs that were killed before they could; whether any was."""
    left = [folder for folder, state in folders if state.name == "done" and folder.has_leftovers()]
    for folder in left:
        with suppress(RunLocked, OSError), folder.lock():
            tidy(folder)
    return bool(left)


def _to_train(runs: Sequence[Run], states: States) -> set[str]:
    """``settings_id`` of the runs to be trained: unfinished ones, and teachers without weights."""
    training: set[str] = set()

    def visit(run: Run, needed: bool) -> None:
        state = states[run.settings_id]
        if run.settings_id not in training and _is_to_train(state, needed):
            training.add(run.settings_id)
            for _, required in run.requires:
                visit(required, needed=True)

    for run in runs:
        visit(run, needed=False)
    return training


def _is_to_train(state: RunState, needed: bool) -> bool:
    """Whether a run is to be trained; ``needed`` if another one needs its weights."""
    is_finished = state.record is not None and bool(state.record.scores)
    return state.needs_training or (needed and is_finished and not state.has_weights)
