"""``sobench report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sobench.commands.options import results_option, stdout, suite_options
from sobench.compare.leaderboard import leaderboard
from sobench.errors import RequestError, did_you_mean
from sobench.files import write_atomic
from sobench.report.tables import FORMATS
from sobench.report.terminal import print_leaderboard
from sobench.suite.overrides import Request, read_request
from sobench.text import printable

_NAMES = ("terminal", *FORMATS)

_NARROWING = ("methods", "seeds", "eval_sizes", "multi_scale", "keep_background")
"""Keys of a suite that decide what a table shows, and no result."""


@click.command()
@suite_options
@results_option
@click.option(
    "--format", "formats", default="terminal", show_default=True, metavar="terminal|md|csv|json",
    help="One, or several with commas and --out.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write SUITE.FORMAT into.")
@click.option(
    "--data", metavar="FINGERPRINT", default="",
    help="The state of the data, if there are results on several; its first digits are enough.",
)  # fmt: skip
def command(results: Path, formats: str, out: Path | None, data: str, **options: Any) -> None:
    """Print the leaderboard of a suite from the results so far."""
    names = _format_names(formats, out)
    request = read_request(**options)
    board = leaderboard(request.runs(""), results, data)
    stem = _stem(request, options["settings"], data)
    for name in names:
        if name == "terminal":
            print_leaderboard(board, stdout())
            continue
        suffix, render = FORMATS[name]
        if out is None:
            click.echo(render(board), nl=False)
        else:
            path = out / f"{stem}.{suffix}"
            write_atomic(path, render(board).encode())
            click.echo(printable(str(path)))


def _stem(request: Request, settings: Sequence[str], data: str) -> str:
    """The name of the files: that of the suite, with what sets this table apart from its own.

    So a table of other numbers, or of fewer, does not take the place of the suite's.
    """
    changed = {text.partition("=")[0].partition(".")[0].strip() for text in settings}
    scoring = [str(getattr(request.suite, key)) for key in ("protocol", "engine") if key in changed]
    narrowed = request.partial or request.methods or request.seeds or changed & {*_NARROWING}
    parts = (request.suite.name, *scoring, data, "partial" if narrowed else "")
    return ".".join(filter(None, parts))


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
