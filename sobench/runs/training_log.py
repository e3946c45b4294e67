"""What the files of a training tell of it, also while another process writes them; needs no torch.

The log has no times, so that two trainings of one run have the same log, byte for byte. Speeds are
therefore read from the times at which files were written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sobench.regular_files import open_regular
from sobench.runs.folder import RunFolder
from sobench.training.checkpoint_files import list_checkpoints, step_of

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training has come by its files.

    Attributes:
        step, steps: the last step that was logged and all of them; ``steps`` is not known of
            trainings that earlier versions began.
        epoch: of that step, counted from 1.
        loss: total loss of that step; ``None`` before the first one is logged.
        seconds_left: at the speed of the present session; ``None`` before there is one.
        written: when the training last wrote a file, in seconds since 1970.
    """

    step: int
    steps: int | None
    epoch: int
    loss: float | None
    seconds_left: float | None
    written: float


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a log, of steps and of epochs; damaged and half-written lines are left out.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        yield from filter(None, map(_row, file))


def training_progress(folder: RunFolder) -> TrainingProgress | None:
    """How far the training in a folder is; ``None`` if it has not begun.

    Raises:
        OSError: the folder may not be entered.
    """
    began = _modified(folder.settings)
    if began is None:
        return None
    last, logged = _last_step(folder.log), _modified(folder.log)
    checkpoints = [(step_of(path), _modified(path)) for path in list_checkpoints(folder.path)]
    saved = [(step, time) for step, time in checkpoints if time is not None]
    steps = _steps(folder.settings)
    step = max([last.get("step", 0), *(number for number, _ in saved[-1:])])
    seconds_left = None
    if steps is not None and logged is not None and last:
        first, since = _session_start(began, saved)
        if last["step"] > first and logged > since:
            seconds_left = (steps - step) * (logged - since) / (last["step"] - first)
    return TrainingProgress(
        step=step,
        steps=steps,
        epoch=last.get("epoch", 1),
        loss=_total(last),
        seconds_left=seconds_left,
        written=max([began, logged or began, *(time for _, time in saved)]),
    )


def _session_start(began: float, saved: list[tuple[int, float]]) -> tuple[int, float]:
    """A step of the present session and its time, as early as the files tell.

    Args:
        began: when the session wrote its settings, just before its first step.
        saved: step and time of the checkpoints, oldest first; only the newest two are kept.
    """
    before = [step for step, time in saved if time < began]
    if before:  # resumed from there
        return before[-1], began
    return saved[0] if saved else (0, began)


def _last_step(path: Path) -> dict[str, Any]:
    """The last row of a step; empty if there is none."""
    try:
        with open_regular(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.readlines()
    except OSError:
        return {}
    rows = (row for line in reversed(lines) if (row := _row(line)) and "lr" in row)
    return next(rows, {})


def _row(line: bytes) -> dict[str, Any] | None:
    """A row of a log with a step and losses, or ``None`` for anything else."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_row = isinstance(row, dict) and all(_is_count(row.get(key)) for key in ("step", "epoch"))
    return row if is_row and isinstance(row.get("losses"), dict) else None


def _total(row: dict[str, Any]) -> float | None:
    total = row.get("losses", {}).get("total")
    return float(total) if isinstance(total, (int, float)) else None


def _steps(settings: Path) -> int | None:
    """All steps of a training, from its resolved settings."""
    try:
        content = json.loads(settings.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    steps = content.get("steps") if isinstance(content, dict) else None
    return steps if _is_count(steps) else None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None
