"""Results in several forms, on stdout or as files of a folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console

from sobench.commands.options import stdout
from sobench.compare.leaderboard import Leaderboard
from sobench.errors import RequestError, did_you_mean
from sobench.files import write_atomic
from sobench.report.leaderboard import print_leaderboard
from sobench.report.sheet import SHEET_FORMATS, Sheet, print_sheet
from sobench.report.tables import FORMATS
from sobench.report.view import View
from sobench.text import printable


@dataclass(frozen=True)
class Output:
    """One result; formats that it does not have leave it out.

    Attributes:
        stem: name of its files without the suffix.
        show: prints it for people.
        forms: format -> suffix of the file, and what makes its text.
        pictures: format -> what makes its files: what follows the stem -> content.
    """

    stem: str
    show: Callable[[Console], None] | None
    forms: Mapping[str, tuple[str, Callable[[], str]]]
    pictures: Mapping[str, Callable[[], Mapping[str, bytes]]] = field(default_factory=dict)


def sheet_output(stem: str, sheet: Sheet) -> Output:
    """A sheet as a result."""

    def form(render: Callable[[Sheet], str]) -> Callable[[], str]:
        return lambda: render(sheet)

    forms = {name: (suffix, form(render)) for name, (suffix, render) in SHEET_FORMATS.items()}
    return Output(stem, lambda console: print_sheet(sheet, console), forms)


def leaderboard_output(stem: str, board: Leaderboard) -> Output:
    """A leaderboard as a result, in its usual view."""

    def form(render: Callable[[Leaderboard, View], str]) -> Callable[[], str]:
        return lambda: render(board, View())

    forms = {name: (suffix, form(render)) for name, (suffix, render) in FORMATS.items()}
    return Output(stem, lambda console: print_leaderboard(board, console), forms)


def format_names(
    formats: str,
    out: Path | None,
    known: Sequence[str],
    results: int,
    printed: Collection[str] = (),
) -> list[str]:
    """The formats of ``--format``, in the order in which they are written.

    Args:
        formats: names with commas between them.
        out: the folder of ``--out``.
        known: formats with a file; ``terminal`` is known anyway.
        results: number of results that are shown.
        printed: formats that may stand on stdout together.

    Raises:
        RequestError: a format is unknown, or stdout has no room for what is asked for.
    """
    valid = ("terminal", *known)
    names = [name.strip() for name in formats.split(",") if name.strip()]
    for name in names:
        if name not in valid:
            raise RequestError(f"--format: unknown {name!r};{did_you_mean(name, valid)}")
    if not names:
        raise RequestError(f"--format: names none; known: {', '.join(valid)}")
    if out is None and len(names) > 1 and not {*names} <= {*printed}:
        raise RequestError("--format: several formats need --out FOLDER")
    if out is None and results > 1 and "csv" in names:
        raise RequestError("--format csv: several tables of other columns; add --out FOLDER")
    return names


def write_outputs(outputs: Sequence[Output], names: Sequence[str], out: Path | None) -> None:
    """Print or write each result in each format, and name the files that were written.

    Several results as JSON on stdout are one list. A file to write a page to may be given in place
    of a folder, see ``is_page``.
    """
    for name in names:
        if name == "terminal":
            shown = [output.show for output in outputs if output.show is not None]
            for number, show in enumerate(shown):
                click.echo("\n" if number else "", nl=False)
                show(stdout())
        elif out is None:
            texts = [output.forms[name][1]() for output in outputs if name in output.forms]
            if name == "json" and len(texts) > 1:
                texts = ["[\n" + ",\n".join(text.rstrip("\n") for text in texts) + "\n]\n"]
            click.echo("\n".join(texts), nl=False)
        else:
            for output in outputs:
                for path, content in _files(output, name, out):
                    write_atomic(path, content)
                    click.echo(printable(str(path)))


def is_page(out: Path | None) -> bool:
    """Whether ``--out`` is the file of a page, and not a folder."""
    return out is not None and out.suffix == ".html" and not out.is_dir()


def _files(output: Output, name: str, out: Path) -> Iterator[tuple[Path, bytes]]:
    """The files of a result in a format, with their content."""
    if name in output.forms:
        suffix, render = output.forms[name]
        path = out if is_page(out) else out / f"{output.stem}.{suffix}"
        yield path, render().encode()
    if name in output.pictures:
        for suffix, content in output.pictures[name]().items():
            yield out / f"{output.stem}.{suffix}", content
