"""An engine whose workers are this process, so that tests see what is handed over, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from sobench.runs.failures import failure
from sobench.runs.record import Record
from sobench.runs.spread.job import Job, Outcome, do_job
from sobench.runs.spread.matrix import Settings, spread_matrix
from sobench.runs.status import RunStatus
from tests.runs.matrices import CPU, Recorder, planned


class Inline:
    """Does a job when its outcome is asked for; notes the rows that it was handed together."""

    def __init__(self, slots: int | None = None, do: Callable[[Job], Outcome] = do_job) -> None:
        self.slots, self.do = slots, do
        self.groups: list[tuple[list[str], list[str]]] = []
        self.cancelled: list[str] = []

    def submit(self, jobs: Sequence[Job], after: Sequence[Job]) -> list[Job]:
        self.groups.append((_labels(jobs), _labels(after)))
        return list(jobs)

    def outcome(self, handle: Job) -> Outcome | None:
        return self.do(handle)

    def cancel(self, handles: Sequence[Job]) -> None:
        self.cancelled += _labels(handles)

    def close(self) -> None: ...


def _labels(jobs: Sequence[Job]) -> list[str]:
    return [job.task.run.entry.label for job in jobs]


class SpreadRecorder(Recorder):
    """Notes also how many runs were done at each look."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[tuple[int, int]] = []

    def on_statuses(self, statuses: Sequence[RunStatus], done: int) -> None:
        self.looks.append((done, len(statuses)))


def spread(
    suite: object, results: Path, engine: Inline
) -> tuple[SpreadRecorder, dict[str, Record]]:
    recorder = SpreadRecorder()
    settings = Settings(results, "cpu", 60.0)
    failed = partial(failure, device=CPU)
    records = spread_matrix(planned(suite), settings, engine, failed, recorder)  # type: ignore[arg-type]
    return recorder, {record.label: record for record in records}
