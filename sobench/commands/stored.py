"""The finished run that several commands begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sobench.errors import RequestError
from sobench.suite.reader import load

if TYPE_CHECKING:
    from sobench.runs.stored import StoredRun

run_argument = click.argument("run", type=click.Path(path_type=Path))

suite_option = click.option(
    "--suite", type=click.Path(path_type=Path),
    help="The suite of the run, which says where its data are.  "
    "[default: suites/NAME.yaml, if it is there]",
)  # fmt: skip


def open_run(place: Path, suite: Path | None, note: Callable[[str], None]) -> StoredRun:
    """The finished run in a folder, with its data set if a suite file tells of it.

    Args:
        note: told why it is opened without its data.

    Raises:
        RequestError: there is no finished run, or ``suite`` is not its suite.
    """
    from sobench.runs.stored import read_stored

    if suite is not None:
        return read_stored(place, load(suite).dataset)
    stored = read_stored(place)
    file = Path("suites") / f"{stored.outcome.suite}.yaml"
    if not file.is_file():
        note(f"no {file} here, so the data are not looked at; --suite SUITE names them")
        return stored
    try:
        return read_stored(place, load(file).dataset)
    except RequestError as error:
        note(f"{file}: {error}; the data are not looked at")
        return stored
