"""Options that several commands have, and where they print."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from sobench.report.terminal import PlainConsole
from sobench.runs.gathered import Results, gather
from sobench.suite.schedule import MAX_EPOCHS
from sobench.text import quoted

Command = TypeVar("Command", bound=Callable[..., Any])

_MOST_IMAGES = 10**9

_SUITE_OPTIONS = [
    click.argument("suite", type=click.Path(path_type=Path)),
    click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE",
        help="Override a key of the suite, such as schedule.lr=0.02.",
    ),
    click.option(
        "--epochs", type=click.IntRange(min=1, max=MAX_EPOCHS),
        help="Train for this many epochs; milestones move in proportion.",
    ),
    click.option(
        "--limit", type=click.IntRange(min=1, max=_MOST_IMAGES),
        help="Use the first N images of each split.",
    ),
    click.option(
        "--smoke", type=click.IntRange(min=1, max=_MOST_IMAGES), metavar="N",
        help="Try everything in minutes: N images of each split that show all classes, 2 epochs, "
        "fp32, 1 seed.",
    ),
    click.option("--methods", metavar="A,B", default="", help="Only these rows."),
    click.option("--seeds", metavar="0,1", default="", help="These seeds, not the suite's."),
]  # fmt: skip


def suite_options(command: Command) -> Command:
    """The argument ``SUITE`` and the options that change it; arguments of ``read_request``."""
    for option in reversed(_SUITE_OPTIONS):
        command = option(command)
    return command


def options_of_suites(command: Command) -> Command:
    """The options of ``suite_options`` alone, for commands whose arguments are several suites."""
    for option in reversed(_SUITE_OPTIONS[1:]):
        command = option(command)
    return command


results_option = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), envvar="SOBENCH_RESULTS",
    show_default=True, help="Folder of all results.",
)  # fmt: skip


def _gathered(_: click.Context, __: click.Parameter, folders: tuple[Path, ...]) -> Results:
    # Of the variable one folder is read, as by other commands; its name may hold a colon.
    return gather(folders or (Path(os.environ.get("SOBENCH_RESULTS") or "results"),))


gathered_option = click.option(
    "--results", type=click.Path(path_type=Path), multiple=True, callback=_gathered,
    metavar="PATH", help="Folder of all results; several are read as one: --results A --results B. "
    " [default: results]",
)  # fmt: skip


def _checked_device(
    context: click.Context, param: click.Parameter, value: str | None
) -> str | None:
    """The name of a device as it is: ``auto``, ``cpu``, ``cuda`` or one of several: ``cuda:1``."""
    if value is not None and not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value, re.ASCII):
        problem = f"{quoted(value)} is none of auto, cpu, cuda, cuda:0, cuda:1, ..."
        raise click.BadParameter(problem, context, param)
    return value


device_option = click.option(
    "--device", metavar="auto|cpu|cuda|cuda:N", callback=_checked_device,
    help="Instead of the suite's.",
)  # fmt: skip

checkpoint_option = click.option(
    "--checkpoint-seconds", type=click.FloatRange(min=0), default=60.0, show_default=True,
    help="Time between two checkpoints; the training also ends with one.",
)  # fmt: skip

processes_option = click.option(
    "--gpus-per-run", "--processes-per-run", "processes", type=click.IntRange(min=1), default=1,
    show_default=True, metavar="N",
    help="Share each training, batch by batch, among N GPUs, or on a CPU among N processes.",
)  # fmt: skip

trust_mtime_option = click.option(
    "--trust-mtime", is_flag=True,
    help="Believe remembered digests of data files by size and modification time alone, for a copy "
    "of the dataset that kept its times.",
)  # fmt: skip


class ResultConsole(PlainConsole):
    """The console for results; a reader that leaves, such as ``head``, is not an error."""

    def on_broken_pipe(self) -> None:
        """Let ``main()`` end quietly, where rich would exit with 1."""
        raise BrokenPipeError


class ProgressConsole(PlainConsole):
    """The console for progress; what cannot be written is left out, for the work must go on."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print unless the disk that a log is written to is full."""
        with suppress(OSError):
            super().print(*objects, **settings)

    def on_broken_pipe(self) -> None:
        """Print no more, where rich would end the process."""
        self.quiet = True


def stdout() -> Console:
    """The console for results."""
    # Without a terminal a table must not be squeezed into 80 columns.
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 200
    return ResultConsole(width=width)


def stderr() -> Console:
    """The console for progress and warnings."""
    return ProgressConsole(stderr=True)
