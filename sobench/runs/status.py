"""How far the runs of a folder of results are, while other processes work on them; needs no torch.

With a suite, runs that were not begun are known as well; without one, only what has a folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sobench.errors import RecordError, reason_of
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results, run_folders
from sobench.runs.record import Record
from sobench.runs.search import choose_data, folder_of, search
from sobench.runs.state import RunState, read_states
from sobench.runs.training_log import TrainingProgress, training_progress
from sobench.suite.plan import Run

StatusName = Literal[
    "done", "running", "to score", "to test", "resumable", "waiting", "failed", "diverged"
]


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        suite, row, seed: which run it is; of a folder whose files do not tell, the names of the
            folders above it, and no seed.
        folder: of its files; need not exist.
        name: ``running``: a process holds it; ``waiting``: not begun, or its files are gone; the
            others as in ``RunState``.
        reason: why, in words; empty where the name says it all.
        progress: of its training, if it is running or was stopped.
        train_s: seconds of training of a finished run, if they are known.
    """

    suite: str
    row: str
    seed: int | None
    folder: Path
    name: StatusName
    reason: str = ""
    progress: TrainingProgress | None = None
    train_s: float | None = None

    @property
    def title(self) -> str:
        """Row and seed, as messages name the run."""
        return self.row if self.seed is None else f"{self.row} seed {self.seed}"


def planned_status(runs: Sequence[Run], results: Results, data: str = "") -> list[RunStatus]:
    """The status of the runs of a plan, in its order.

    Args:
        data: fingerprint of the data, or its first digits; by default the state of the data with
            the most results counts.

    Raises:
        RequestError: several states of the data have the same number of results, or none is so.
    """
    data = choose_data(search(runs, results), data).data
    states = read_states(runs, results, data)
    return [_status_of(run, folder_of(run, results, data), states[run.settings_id]) for run in runs]


def known_status(runs: Sequence[Run], results: Results) -> list[RunStatus]:
    """The status of runs that were planned with the fingerprint of their data, in their order."""
    states = read_states(runs, results)
    return [
        _status_of(run, folder_of(run, results, run.data), states[run.settings_id]) for run in runs
    ]


def found_status(results: Results, suite: str = "*") -> list[RunStatus]:
    """The status of every run that has a folder below ``results``, by suite, row and folder.

    Args:
        suite: the name of one, or all.
    """
    return [_status_in(folder) for folder in run_folders(results, suite)]


def seconds_left(statuses: Sequence[RunStatus]) -> float | None:
    """Seconds until all runs of a plan are trained, with as many at a time as are running now.

    A run that waits is expected to take the mean time of those that are done, or else that of the
    running ones. ``None`` if nothing is running, or its speed is not known yet.
    """
    running = [status.progress for status in statuses if status.name == "running"]
    ends = [p.seconds_left for p in running if p is not None and p.seconds_left is not None]
    if not ends:
        return None
    whole = [status.train_s for status in statuses if status.train_s]
    if not whole:
        whole = [
            p.seconds_left * p.steps / (p.steps - p.step)
            for p in running
            if p and p.seconds_left and p.steps
        ]
    typical = sum(whole) / len(whole) if whole else 0.0
    further = sum(status.name in ("waiting", "resumable", "failed") for status in statuses)
    return (sum(ends) + further * typical) / len(running)


def _status_of(run: Run, path: Path, state: RunState) -> RunStatus:
    """The status of a planned run, from its state."""
    is_held = state.name == "locked"
    name: StatusName = (
        "waiting" if state.name == "missing" or state.name == "locked" else state.name
    )
    status = RunStatus(
        run.suite.name, run.row, run.seed, path, name, state.reason,
        train_s=_train_seconds(state.record),
    )  # fmt: skip
    return _with_progress(status, is_held)


def _status_in(path: Path) -> RunStatus:
    """The status of a run whose suite is not at hand."""
    suite, method = path.parent.parent.name, path.parent.name
    outcome, damage = None, ""
    try:
        has_checkpoint = RunFolder(path).last_step() is not None
        outcome = record.read(path)
    except RecordError as error:
        damage = f"{error}; it is left out and made anew"
    except OSError as error:
        return RunStatus(suite, method, None, path, "failed", reason_of(error))
    row, seed = (outcome.label, outcome.seed) if outcome else _identity(path)
    name, reason = _outcome(outcome)
    if outcome is None and has_checkpoint:
        name = "resumable"
    status = RunStatus(
        suite, row or method, seed, path, name, reason or damage, train_s=_train_seconds(outcome)
    )
    return _with_progress(status, is_held=False)


def _outcome(outcome: Record | None) -> tuple[StatusName, str]:
    """The name of the status that a record tells, and the reason."""
    if outcome is None:
        return "waiting", ""
    if outcome.scores:
        return "done", ""
    return ("diverged" if outcome.status == "diverged" else "failed"), outcome.reason


def _with_progress(status: RunStatus, is_held: bool) -> RunStatus:
    """The status with the progress of the training, if it is running or was stopped."""
    if status.name in ("done", "diverged"):
        return status
    folder, progress = RunFolder(status.folder), None
    name, reason = status.name, status.reason
    try:
        if is_held or folder.is_locked():
            name, reason = "running", ""
        if name in ("running", "resumable"):
            progress = training_progress(folder)
    except OSError as error:
        reason = reason or reason_of(error)
    return replace(status, name=name, reason=reason, progress=progress)


def _identity(path: Path) -> tuple[str, int | None]:
    """Label and seed from the settings in a run's folder, or else the seed from its name."""
    try:
        content = json.loads(RunFolder(path).settings.read_bytes())
        label, seed = content["label"], content["seed"]
        if isinstance(label, str) and isinstance(seed, int):
            return label, seed
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        pass
    digits = path.name.partition("-")[0][1:]
    return "", int(digits) if digits.isdecimal() and len(digits) <= 10 else None


def _train_seconds(outcome: Record | None) -> float | None:
    return outcome.cost.train_s if outcome is not None and outcome.cost is not None else None
