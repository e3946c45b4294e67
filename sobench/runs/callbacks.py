"""How runs tell others of their progress; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sobench.lease import check_held
from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.training.progress import TrainProgress


class ProgressCallback(Protocol):
    """Told of the progress of a run."""

    def on_stage(self, text: str) -> None:
        """The run begins another part of its work."""

    def on_step(self, progress: TrainProgress) -> None:
        """A training step is done."""

    def on_images(self, done: int, total: int) -> None:
        """Images are done, in a part of the work that counts them."""

    def warn(self, message: str) -> None:
        """The run goes on, but the user should know this."""


class MatrixProgressCallback(ProgressCallback, Protocol):
    """Told of the progress of a matrix and of its runs."""

    def on_run_start(self, run: Run, number: int, total: int) -> None:
        """A run begins or is resumed; ``number`` counts from 1."""

    def on_run_end(self, run: Run, record: Record, fresh: bool) -> None:
        """A run is done; ``fresh`` is false if it had been done before."""

    def on_wait(self, runs: Sequence[Run], reason: str) -> None:
        """Other processes hold these runs, and there is nothing else to do; called repeatedly.

        ``reason`` says who holds the first of them.
        """


@dataclass(frozen=True)
class WhileHeld:
    """Hands progress on as long as this process holds the folder of the run.

    After every step it raises ``LeaseLost`` if it may not, so that a process that was stopped for
    long goes no further.
    """

    callback: ProgressCallback
    folder: Path

    def on_stage(self, text: str) -> None:
        """As of ``ProgressCallback``."""
        self.callback.on_stage(text)

    def on_step(self, progress: TrainProgress) -> None:
        """As of ``ProgressCallback``."""
        check_held(self.folder)
        self.callback.on_step(progress)

    def on_images(self, done: int, total: int) -> None:
        """As of ``ProgressCallback``."""
        self.callback.on_images(done, total)

    def warn(self, message: str) -> None:
        """As of ``ProgressCallback``."""
        self.callback.warn(message)
