"""A result of tables and lines, for a terminal, Markdown, CSV and JSON alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from sobench.report.latex import HEAD, comments, floating_table, tabular
from sobench.report.markup import as_markdown, csv_text, pipes
from sobench.report.terminal import print_blocks
from sobench.runs.record import nan_to_none


@dataclass(frozen=True)
class Table:
    """One table, with the lines beneath it.

    Attributes:
        headings: of the columns.
        rows: cells as people read them.
        named: columns at the left that name a row, and are repeated where a table is too wide.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...] = ()
    named: int = 1


@dataclass(frozen=True)
class Sheet:
    """A result in all forms.

    Attributes:
        title: of the whole.
        tables: as people read them.
        lines: beneath all of them.
        csv: rows with the same keys and all digits.
        json: everything, ready for ``json.dumps`` but for NaN and infinity.
    """

    title: str
    tables: tuple[Table, ...]
    lines: tuple[str, ...]
    csv: tuple[dict[str, Any], ...]
    json: dict[str, Any]


def print_sheet(sheet: Sheet, console: Console) -> None:
    """The tables, each with its lines, and the lines of the whole."""
    console.print(Text(sheet.title, style="bold"), soft_wrap=True)
    console.print()
    for table in sheet.tables:
        if table.rows:
            print_blocks(console, table.headings, table.rows, table.title, repeated=table.named)
        for line in table.lines:
            console.print(Text(line, style="dim"), soft_wrap=True)
        if table.lines:
            console.print()
    for line in sheet.lines:
        console.print(Text(line, style="dim"), soft_wrap=True)


def markdown(sheet: Sheet) -> str:
    """A heading, the tables with their titles, and the lines as lists."""
    blocks = [f"## {as_markdown(sheet.title)}"]
    for table in sheet.tables:
        if table.rows:
            blocks += [f"{as_markdown(table.title)}:", pipes(table.headings, table.rows)]
        blocks.append(_bullets(table.lines))
    blocks.append(_bullets(sheet.lines))
    return "\n\n".join(filter(None, blocks)) + "\n"


def as_csv(sheet: Sheet) -> str:
    """The rows with all digits."""
    return csv_text(sheet.csv)


def as_json(sheet: Sheet) -> str:
    """Everything, with ``null`` for what is undefined."""
    return json.dumps(nan_to_none(sheet.json), indent=1, allow_nan=False) + "\n"


def latex(sheet: Sheet) -> str:
    """A floating table for each one with its lines; the lines of the whole are comments."""
    tables = [
        floating_table(
            f"{sheet.title}. {table.title}",
            tabular(table.headings, table.rows, table.named),
            table.lines,
        )
        for table in sheet.tables
        if table.rows
    ]
    return HEAD + comments(sheet.lines) + "\n".join(tables)


SHEET_FORMATS: dict[str, tuple[str, Callable[[Sheet], str]]] = {
    "md": ("md", markdown),
    "csv": ("csv", as_csv),
    "json": ("json", as_json),
    "latex": ("tex", latex),
}
"""Name -> suffix of the file, and what makes its text."""


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {as_markdown(line)}" for line in lines)
