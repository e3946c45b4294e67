"""The options of ``sobench report`` that decide what of a leaderboard is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sobench.report.view import View

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        "--sort", metavar="COLUMN", default="",
        help="Order of the rows: a metric, a cost, or method; the best come first.",
    ),
    click.option(
        "--columns", metavar="A,B", default="",
        help="These columns, by heading or by name; also AP50_std and AP50_interval. CSV and JSON "
        "have all.",
    ),
    click.option("--per-class", is_flag=True, help="A table by class too."),
    click.option(
        "--by", type=click.Choice(["method", "seed"]), default="method", show_default=True,
        help="A row for each method or for each run.",
    ),
    click.option("--wide", is_flag=True, help="All columns, in several blocks where they need it."),
]  # fmt: skip


def view_options(command: Command) -> Command:
    """Options that are arguments of ``view_of``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def view_of(sort: str, columns: str, per_class: bool, by: str, wide: bool) -> View:
    """What these options ask for."""
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    return View(sort.strip(), names, per_class, by == "seed", wide)
