"""Cells and texts as Markdown and CSV show them unchanged."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from sobench.text import printable

_MARKED = str.maketrans({"&": "&amp;", "<": "&lt;"} | {mark: f"\\{mark}" for mark in "\\|`*[~"})
"""What begins HTML, cells, code, emphasis, links, images and deleted text."""

_EDGE = re.compile(r"\b_+|_+\b")
"""Lines at an end of a word, where they begin or end emphasis; within one they do no harm."""


def pipes(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, in which a bar in a name must not begin a new cell."""
    escaped = [[as_markdown(cell) for cell in row] for row in (headings, *rows)]
    return pipe_table(escaped[0], escaped[1:])


def pipe_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same of cells that are Markdown already."""
    return tabulate(rows, headings, tablefmt="pipe", disable_numparse=True)


def as_markdown(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    escaped = _EDGE.sub(lambda lines: "\\_" * len(lines[0]), text.translate(_MARKED))
    return printable(escaped)


def csv_cell(value: Any) -> Any:
    """A cell that a spreadsheet shows as it is: an apostrophe keeps it from running a formula."""
    if not isinstance(value, str):
        return value
    return printable(f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value)


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows with the same keys as CSV with a line of headings; empty cells for ``None``."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_cell(key) for key in rows[0]] if rows else [])
    writer.writerows([csv_cell(value) for value in row.values()] for row in rows)
    return file.getvalue()
