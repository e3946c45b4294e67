"""Progress of many runs at a time."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from sobench.report.spread import SpreadProgress
from sobench.runs.status import RunStatus, StatusName
from sobench.runs.training_log import TrainingProgress
from sobench.suite.plan import plan
from tests.records import record_of
from tests.tiny_suite import tiny_suite


def status(row: str, name: StatusName, step: int = 0) -> RunStatus:
    left = 0.0 if step == 100 else 60.0
    progress = TrainingProgress(step, 100, 1, 0.5, left, 0.0) if step else None
    return RunStatus("tiny", row, 0, Path(row), name, progress=progress)


def test_a_plain_line_tells_of_all_runs() -> None:
    console = Console(file=io.StringIO(), width=80)
    with SpreadProgress(console) as progress:
        progress.last_line -= 60
        statuses = [
            status("fpn", "running", 50),
            status("[ssd]", "running"),
            status("a", "waiting"),
        ]
        progress.on_statuses(statuses, done=2)
        progress.on_statuses(statuses, done=2)  # too soon for another line
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == (
        "2 of 5 runs done, 2 at work, 1:30 left: fpn seed 0 50 %, [ssd] seed 0 0 %\n"
    )


def test_each_run_at_work_has_a_bar_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    progress = SpreadProgress(console)
    progress.on_statuses([status("fpn", "running", 50), status("ssd", "running", 100)], done=0)
    shown = [task.description for task in progress.bars.tasks if task.visible]
    assert shown == [
        "0 of 2 runs done, 2 at work",
        "fpn seed 0: epoch 1 step 50/100, loss 0.500",
        "ssd seed 0: detecting and scoring",
    ]
    progress.on_statuses([status("ssd", "running", 100)], done=1)
    shown = [task.description for task in progress.bars.tasks if task.visible]
    assert shown == ["1 of 2 runs done, 1 at work", "ssd seed 0: detecting and scoring"]


def test_a_run_that_has_ended_took_what_its_training_took() -> None:
    """It is told of as begun and as ended at once."""
    (run,) = plan(tiny_suite(methods=["fpn"]))
    console = Console(file=io.StringIO(), width=80)
    with SpreadProgress(console) as progress:
        progress.on_run_start(run, 1, 2)
        progress.on_run_end(run, record_of(run), fresh=True)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "[1/2] fpn seed 0: AP 0.500, AP50 0.501, 1:30\n"
