"""``sobench status``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sobench.commands.options import gathered_option, options_of_suites
from sobench.commands.output import format_names, sheet_output, write_outputs
from sobench.errors import NothingToCompare
from sobench.garbage import no_garbage_collection
from sobench.report.sheet import SHEET_FORMATS
from sobench.report.status import status_sheet
from sobench.runs.gathered import Results, clashes_of
from sobench.runs.status import RunStatus, found_status, planned_status
from sobench.suite.overrides import read_request
from sobench.suite.plan import with_required


@click.command()
@click.argument("places", nargs=-1, type=click.Path(path_type=Path), metavar="[SUITE|FOLDER]...")
@options_of_suites
@gathered_option
@click.option(
    "--data", metavar="FINGERPRINT", default="",
    help="The state of the data, if there are results of a suite on several.",
)  # fmt: skip
@click.option(
    "--format", "formats", default="terminal", show_default=True, metavar="terminal|md|csv|json",
    help="One, or several with commas and --out.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write status.FORMAT into.")
@no_garbage_collection()
def command(
    places: tuple[Path, ...], results: Results, data: str, formats: str, out: Path | None,
    **options: Any,
) -> None:  # fmt: skip
    """Show how far a running or stopped matrix is, from another terminal.

    Of suites, all their runs. Of folders of results, or without an argument of --results, the runs
    that were begun, whatever suite they are of. Reads neither the data nor the suites' images.
    """
    names = format_names(formats, out, list(SHEET_FORMATS), 1)
    found: list[tuple[str, Sequence[RunStatus]]] = [] if places else _of_folder(results)
    for place in places:
        if place.is_dir():
            found += _of_folder(place)
        else:
            found.append(_of_suite(place, results, data, options))
    if not any(statuses for _, statuses in found):
        where = ", ".join(map(str, places)) or results
        raise NothingToCompare(
            f"{where}: no folder of a run; name a suite, or the folder of all results"
        )
    sheet = status_sheet(found, time.time(), clashes_of(results))
    write_outputs([sheet_output("status", sheet)], names, out)


def _of_suite(
    suite: Path, results: Results, data: str, options: dict[str, Any]
) -> tuple[str, Sequence[RunStatus]]:
    """The title of a suite, and the status of its runs and of those that they require."""
    request = read_request(suite=suite, **options)
    runs = with_required(request.runs(""))
    return f"{request.suite.name} in {results}", planned_status(runs, results, data)


def _of_folder(folder: Results) -> list[tuple[str, Sequence[RunStatus]]]:
    """The same of every suite with runs in a folder of results, or in that of one suite."""
    statuses = found_status(folder)
    if not statuses and isinstance(folder, Path):
        statuses = found_status(folder.parent, folder.name)
    names = dict.fromkeys(status.suite for status in statuses)
    return [
        (f"{name} in {folder}", [status for status in statuses if status.suite == name])
        for name in names
    ]
