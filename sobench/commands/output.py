"""Results in several forms, on stdout or as files of a folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from sobench.commands.options import stdout
from sobench.errors import RequestError, did_you_mean
from sobench.files import write_atomic
from sobench.report.sheet import SHEET_FORMATS, Sheet, print_sheet
from sobench.text import printable


@dataclass(frozen=True)
class Output:
    """One result.

    Attributes:
        stem: name of its files without the suffix.
        show: prints it for people.
        forms: format -> suffix of the file, and what makes its text.
    """

    stem: str
    show: Callable[[Console], None]
    forms: Mapping[str, tuple[str, Callable[[], str]]]


def sheet_output(stem: str, sheet: Sheet) -> Output:
    """A sheet as a result."""

    def form(render: Callable[[Sheet], str]) -> Callable[[], str]:
        return lambda: render(sheet)

    forms = {name: (suffix, form(render)) for name, (suffix, render) in SHEET_FORMATS.items()}
    return Output(stem, lambda console: print_sheet(sheet, console), forms)


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

    Several results as JSON on stdout are one list.
    """
    for name in names:
        if name == "terminal":
            for number, output in enumerate(outputs):
                click.echo("\n" if number else "", nl=False)
                output.show(stdout())
        elif out is None:
            texts = [output.forms[name][1]() for output in outputs]
            if name == "json" and len(texts) > 1:
                texts = ["[\n" + ",\n".join(text.rstrip("\n") for text in texts) + "\n]\n"]
            click.echo("\n".join(texts), nl=False)
        else:
            for output in outputs:
                suffix, render = output.forms[name]
                path = out / f"{output.stem}.{suffix}"
                write_atomic(path, render().encode())
                click.echo(printable(str(path)))
