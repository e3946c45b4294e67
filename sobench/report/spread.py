"""Progress of runs that many workers do: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from sobench.report.progress import PLAIN_INTERVAL, MatrixProgress, duration
from sobench.runs.record import Record
from sobench.runs.status import RunStatus, seconds_left

MOST_SHOWN = 12
"""Runs that have a bar of their own."""


class SpreadProgress(MatrixProgress):
    """Prints how far all runs are and when the last one ends, and those at work one by one."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.bars.update(self.run_bar, visible=False)
        self.of_runs: dict[str, Any] = {}

    def on_statuses(self, statuses: Sequence[RunStatus], done: int) -> None:
        """How far the runs are that are not done."""
        running = [status for status in statuses if status.name == "running"]
        total = done + len(statuses)
        left = seconds_left(statuses)
        whole = "" if left is None else f"{duration(left)} left"
        text = f"{done} of {total} runs done, {len(running)} at work"
        shares = [_share(status) for status in statuses]
        self.bars.update(
            self.suite_bar, total=total, completed=done + sum(shares), left=whole, description=text
        )
        self._show(running[:MOST_SHOWN])
        now = time.monotonic()
        if not self.console.is_terminal and running and now - self.last_line >= PLAIN_INTERVAL:
            parts = [f"{status.title} {100 * _share(status):.0f} %" for status in running]
            line = ", ".join(filter(None, [text, whole]))
            self.console.print(
                f"{line}: {', '.join(parts)}", markup=False, highlight=False, soft_wrap=True
            )
            self.last_line = now

    def seconds_of(self, record: Record) -> float:
        """Of the training, since the run was begun elsewhere."""
        return (record.cost.train_s if record.cost else None) or 0.0

    def _show(self, running: Sequence[RunStatus]) -> None:
        """Give each run at work a bar, and take those of others away."""
        present = {status.title: status for status in running}
        for title in self.of_runs.keys() - present.keys():
            self.bars.remove_task(self.of_runs.pop(title))
        for title, status in present.items():
            if title not in self.of_runs:
                self.of_runs[title] = self.bars.add_task(title, total=1, left="")
            progress = status.progress
            seconds = progress.seconds_left if progress else None
            self.bars.update(
                self.of_runs[title],
                completed=_share(status),
                left="" if seconds is None else f"{duration(seconds)} left",
                description=f"{title}: {_detail(status)}",
            )


def _share(status: RunStatus) -> float:
    """How much of its training a run has behind it, from 0 to 1."""
    progress = status.progress
    if progress is None or not progress.steps:
        return 0.0
    return min(1.0, progress.step / progress.steps)


def _detail(status: RunStatus) -> str:
    progress = status.progress
    if progress is None or not progress.steps:
        return "begins"
    if progress.step >= progress.steps:
        return "detecting and scoring"
    loss = "" if progress.loss is None else f", loss {progress.loss:.3f}"
    return f"epoch {progress.epoch} step {progress.step}/{progress.steps}{loss}"
