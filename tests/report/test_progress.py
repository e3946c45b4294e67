"""Progress on a narrow terminal, and as plain lines."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from sobench.report.progress import MatrixProgress
from sobench.training.progress import TrainProgress
from tests.tiny_suite import tiny_run

LOSSES = {"class": 0.123, "box": 0.456, "centre": 0.789, "total": 1.368}


def shown(is_terminal: bool, step: int, width: int = 80) -> str:
    """What is printed after a step of the second of three runs."""
    target = io.StringIO()
    console = Console(file=target, width=width, force_terminal=is_terminal, color_system=None)
    with MatrixProgress(console) as progress:
        progress.on_run_start(tiny_run(), 2, 3)
        progress.on_stage("train")
        progress.on_step(TrainProgress("student", 2, 4, step, 8, LOSSES, 0.01, 12.5))
        progress.bars.refresh()
    return re.sub(r"(\x1b\[[0-9;?]*[a-zA-Z]|\r)+", "\n", target.getvalue())


@pytest.mark.parametrize("width", [70, 80, 200])
def test_bar_percent_and_time_left_come_first_and_losses_last(width: int) -> None:
    lines = shown(True, 4, width).splitlines()
    assert max(map(len, lines)) <= width
    suite = next(line for line in lines if "run 2 of 3" in line)
    assert re.match(r"^\S+ +50% +0:00 left suite, run 2 of 3 *$", suite)
    run = next(line for line in lines if "student" in line)
    assert re.match(r"^\S+ +50% +0:00 left fpn seed 0: student epoch 2/4", run)
    assert ("centre 0.789" in run) == (width == 200)


def test_plain_lines_tell_the_same() -> None:
    (line,) = shown(False, 8).splitlines()[-1:]
    assert re.fullmatch(
        r"\[2/3\] 100 %, 0:00 left, suite \d:\d\d: fpn seed 0: student epoch 2/4 step 8/8 "
        r"12\.5 img/s class 0\.123 box 0\.456 centre 0\.789",
        line,
    )


def test_a_resumed_run_says_from_which_step() -> None:
    assert "[2/3] fpn seed 0: goes on after step 3/8\n" in shown(False, 4)
    assert "goes on after step 3/8" in shown(True, 4)
    assert "goes on" not in shown(False, 1)


def test_a_warning_is_printed_once() -> None:
    text = io.StringIO()
    with MatrixProgress(Console(file=text, width=80)) as progress:
        for message in ("too large", "too large", "too old"):
            progress.warn(message)
    assert text.getvalue().splitlines() == ["warning: too large", "warning: too old"]
