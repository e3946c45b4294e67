"""``sobench report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sobench.commands.options import results_option, stdout, suite_options
from sobench.compare.leaderboard import leaderboard
from sobench.errors import RequestError, did_you_mean
from sobench.files import write_atomic
from sobench.report.tables import FORMATS
from sobench.report.terminal import print_leaderboard
from sobench.suite.overrides import read_request
from sobench.text import printable

_NAMES = ("terminal", *FORMATS)


@click.command()
@suite_options
@results_option
@click.option(
    "--format", "formats", default="terminal", show_default=True, metavar="terminal|md|csv|json",
    help="One, or several with commas and --out.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write SUITE.FORMAT into.")
def command(results: Path, formats: str, out: Path | None, **options: Any) -> None:
    """Print the leaderboard of a suite from the results so far."""
    names = _format_names(formats, out)
    request = read_request(**options)
    board = leaderboard(request.runs(""), results)
    for name in names:
        if name == "terminal":
            print_leaderboard(board, stdout())
            continue
        suffix, render = FORMATS[name]
        if out is None:
            click.echo(render(board), nl=False)
        else:
            path = out / f"{request.suite.name}.{suffix}"
            write_atomic(path, render(board).encode())
            click.echo(printable(str(path)))


def _format_names(formats: str, out: Path | None) -> list[str]:
    names = [name.strip() for name in formats.split(",") if name.strip()]
    for name in names:
        if name not in _NAMES:
            raise RequestError(f"--format: unknown {name!r};{did_you_mean(name, _NAMES)}")
    if not names:
        raise RequestError(f"--format: names none; known: {', '.join(_NAMES)}")
    if len(names) > 1 and out is None:
        raise RequestError("--format: several formats need --out FOLDER")
    return names
