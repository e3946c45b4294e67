"""The files of a run's folder, and its lock; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sobench.locks import is_locked, locked
from sobench.suite.further_tests import size_name
from sobench.suite.plan import Run
from sobench.suite.protocols import Protocol
from sobench.training.checkpoint_files import list_checkpoints, step_of


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run; no file in it need exist.

    Attributes:
        input_size: height and width of the suite's input, at which a run is detected anyway.
    """

    path: Path
    input_size: tuple[int, int] | None = None

    @classmethod
    def of(cls, run: Run, results: Path) -> RunFolder:
        """The folder of ``run`` below the folder of all results."""
        return cls(run.folder(results), run.suite.input.size)

    @property
    def settings(self) -> Path:
        """The resolved settings, written before the training begins."""
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        """Losses, step by step and epoch by epoch."""
        return self.path / "log.jsonl"

    @property
    def record(self) -> Path:
        """The outcome."""
        return self.path / "record.json"

    @property
    def error(self) -> Path:
        """The traceback of the last failure."""
        return self.path / "error.txt"

    def detections(self, test: str = "") -> Path:
        """The detections at the suite's input, or of a further test, by its name."""
        is_own = self.input_size is not None and test == size_name(self.input_size)
        suffix = f"-{test}" if test and not is_own else ""
        return self.path / f"detections{suffix}.json.gz"

    def matches(self, protocol: Protocol) -> Path:
        """How the detections at the suite's input met the objects, under a protocol."""
        return self.path / f"matches-{protocol.name}-v{protocol.version}.npz"

    def bootstrap(self, protocol: Protocol) -> Path:
        """The metrics of resampled images that were computed from the matches."""
        return self.path / f"bootstrap-{protocol.name}-v{protocol.version}.npz"

    def further_detections(self) -> Iterator[Path]:
        """The detections of further tests that exist."""
        return self.path.glob("detections-*.json.gz")

    def last_step(self) -> int | None:
        """The step of the newest checkpoint, or ``None`` if there is none."""
        checkpoints = list_checkpoints(self.path)
        return step_of(checkpoints[-1]) if checkpoints else None

    def checkpoints_of(self, step: int | None) -> list[Path]:
        """The checkpoints that were written after ``step``: a damaged one may be among them."""
        return [path for path in list_checkpoints(self.path) if step_of(path) == step]

    def has_leftovers(self) -> bool:
        """Whether there are files that a finished run does not need."""
        return (
            len(list_checkpoints(self.path)) > 1
            or self.error.exists()
            or any(self.path.glob(".*.tmp"))
        )

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run for this process; raises ``RunLocked`` if another one holds it."""
        return locked(self.path)

    def is_locked(self) -> bool:
        """Whether a process holds the run."""
        return is_locked(self.path)
