"""Matrices that train in seconds, and a callback that notes what they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.data.fingerprint import fingerprint
from sobench.runs.matrix import run_matrix
from sobench.runs.record import Record
from sobench.suite.plan import Run, plan
from sobench.suite.sections import Suite
from sobench.training.progress import TrainProgress
from tests.records import states_of
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")
STUDENT = {"name": "zoominnet", "label": "student", "align": "la"}
TEACHER = {"name": "fpn", "label": "big", "deviations": {"input.size": [64, 64], "reason": "a"}}


class Recorder:
    """Notes by label which runs were begun, trained and freshly done."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.fresh: list[str] = []
        self.trained: list[str] = []
        self.warnings: list[str] = []
        self.waited_for: list[list[str]] = []

    def on_run_start(self, run: Run, number: int, total: int) -> None:
        assert 1 <= number <= total
        self.order.append(run.entry.label)

    def on_run_end(self, run: Run, record: Record, fresh: bool) -> None:
        assert record.run_id == run.id
        self.fresh += [run.entry.label] if fresh else []

    def on_step(self, progress: TrainProgress) -> None:
        if progress.step == 1:
            self.trained.append(self.order[-1])

    def on_wait(self, runs: Sequence[Run], reason: str) -> None:
        assert "this folder" in reason
        self.waited_for.append([run.entry.label for run in runs])

    def on_stage(self, text: str) -> None: ...
    def on_images(self, done: int, total: int) -> None: ...

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def small(*methods: Any, **changes: Any) -> Suite:
    return tiny_suite(
        dataset={"train": 4, "val": 2},
        input={"size": [32, 32]},
        schedule={"epochs": 1, "milestones": []},
        methods=list(methods),
        **changes,
    )


def planned(suite: Suite, **options: Any) -> list[Run]:
    return plan(suite, fingerprint(suite.dataset), **options)


def board_of(suite: Suite, records: Iterable[Record]) -> Leaderboard:
    runs = planned(suite)
    return leaderboard.build(runs, states_of(runs, records))


def matrix(suite: Suite, results: Path, **options: Any) -> tuple[Recorder, dict[str, Record]]:
    recorder = Recorder()
    records = run_matrix(planned(suite, **options), results, CPU, recorder)
    return recorder, {outcome.label: outcome for outcome in records}
