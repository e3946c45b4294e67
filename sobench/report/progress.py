"""Progress of a matrix: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.training.progress import TrainProgress

PLAIN_INTERVAL = 10.0
"""Seconds between two plain lines while a run trains."""


class MatrixProgress:
    """Prints how far the present run is and when it ends, then its epoch, step, speed, losses."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            BarColumn(bar_width=12),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[left]:>12}"),
            # What a narrow terminal cuts stands last. Labels are text, whatever brackets they have.
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            expand=True,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.suite_bar = self.bars.add_task("suite", left="", total=1)
        self.run_bar = self.bars.add_task("run", left="", total=1)
        self.number, self.total, self.name = 0, 0, ""
        self.durations: list[float] = []
        self.waited_for: list[str] = []
        self.warnings: set[str] = set()
        self.began = self.last_line = self.stage_began = time.monotonic()
        # Steps done before this session, and when it began to train: the speed is counted from it.
        self.first: tuple[int, float] | None = None

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:  # else it was not started, and would print an empty line
            self.bars.stop()

    def on_run_start(self, run: Run, number: int, total: int) -> None:
        """A run begins or is resumed."""
        self.number, self.total = number, total
        self.name = run.name
        self.began = self.last_line = time.monotonic()
        self.bars.update(self.suite_bar, total=total, completed=number - 1)
        self.first = None
        self.bars.reset(self.run_bar, description=self.name, left="")

    def on_stage(self, text: str) -> None:
        """The run begins the next part of its work."""
        self.stage_began = time.monotonic()
        self.bars.update(self.run_bar, description=f"{self.name}: {text}", left="")

    def on_images(self, done: int, total: int) -> None:
        """Some images are done, in a stage that counts them."""
        self.bars.update(self.run_bar, completed=done, total=total, left=f"{done}/{total}")

    def on_step(self, progress: TrainProgress) -> None:
        """A training step is done."""
        now = time.monotonic()
        run_seconds = self._run_seconds_left(progress, now)
        losses = " ".join(f"{k} {v:.3f}" for k, v in progress.losses.items() if k != "total")
        stage = f"{progress.stage} " if progress.stage else ""
        detail = (
            f"{stage}epoch {progress.epoch}/{progress.epochs} "
            f"step {progress.step}/{progress.steps} {progress.images_s:.1f} img/s {losses}"
        )
        further_runs = self.total - self.number
        run_left = f"{duration(run_seconds)} left"
        suite_left = duration(run_seconds + further_runs * self._typical_seconds(run_seconds, now))
        self.bars.update(
            self.run_bar,
            description=f"{self.name}: {detail}",
            completed=progress.step,
            total=progress.steps,
            left=run_left,
        )
        # A part of the present run is done too.
        done = self.number - 1 + progress.step / progress.steps
        text = f"suite, run {self.number} of {self.total}"
        left = f"{suite_left} left"
        self.bars.update(self.suite_bar, description=text, completed=done, left=left)
        plain = not self.console.is_terminal
        if plain and (now - self.last_line >= PLAIN_INTERVAL or progress.step == progress.steps):
            percent = f"{100 * progress.step / progress.steps:.0f} %"
            self._line(f"{percent}, {run_left}, suite {suite_left}: {self.name}: {detail}")
            self.last_line = now

    def warn(self, message: str) -> None:
        """Print a warning; once, though every run may give it."""
        if message not in self.warnings:
            self.warnings.add(message)
            self._line(f"warning: {message}")

    def on_run_end(self, run: Run, record: Record, fresh: bool) -> None:
        """A run is done; if not ``fresh``, it was done before."""
        seconds = self.seconds_of(record)
        self.bars.update(self.suite_bar, completed=self.number, left="")
        scores = record.scored_by(run.suite)
        if scores is None:
            self._line(f"{self.name}: {record.status}: {record.reason}")
            return
        ranking = next(iter(scores.metrics))
        names = dict.fromkeys(name for name in (ranking, "AP50") if name in scores.metrics)
        told = [f"{name} {v:.3f}" for name in names if (v := scores.metrics[name]) is not None]
        result = ", ".join(told) or f"no {ranking}"
        if fresh:
            self.durations.append(seconds)
        self._line(f"{self.name}: {result}, " + (duration(seconds) if fresh else "done before"))

    def seconds_of(self, record: Record) -> float:
        """How long a run took that has just ended."""
        del record
        return time.monotonic() - self.began

    def on_wait(self, runs: Sequence[Run], reason: str) -> None:
        """Other processes hold these runs; said once, until they are others."""
        names = [run.name for run in runs]
        if names == self.waited_for:
            return
        self.waited_for = names
        more = f" and {len(names) - 1} more" if names[1:] else ""
        text = f"waiting for {names[0]}{more}, which another process trains"
        self.bars.reset(self.run_bar, description=text, left="")
        self._line(f"{text} ({reason})")

    def _run_seconds_left(self, progress: TrainProgress, now: float) -> float:
        """Seconds of training left, from the speed since this session's first step."""
        if self.first is None:
            self.first = (progress.step - 1, self.stage_began)
            if progress.step > 1:
                self._line(f"{self.name}: goes on after step {progress.step - 1}/{progress.steps}")
        step, since = self.first
        return (progress.steps - progress.step) * (now - since) / (progress.step - step)

    def _typical_seconds(self, run_seconds: float, now: float) -> float:
        """The mean duration of the runs done, or else the expected one of the present run."""
        if self.durations:
            return sum(self.durations) / len(self.durations)
        return now - self.began + run_seconds

    def _line(self, text: str) -> None:
        place = f"[{self.number}/{self.total}] " if self.total else ""  # no run has begun yet
        self.console.print(f"{place}{text}", markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{whole_seconds:02d}"
    return f"{minutes}:{whole_seconds:02d}"
