"""Leaderboards, plans and statistics on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from sobench.leaderboard import Leaderboard
from sobench.report import tables


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """The table, the AP by class, and what stands beneath."""
    headings, rows = tables.columns(board)
    print_table(console, headings, rows, title=board.title)
    headings, rows = tables.class_columns(board)
    print_table(console, headings, rows, title="AP by class")
    for line in tables.remarks(board):
        console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def print_table(
    console: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str | None = None,
) -> None:
    """A table whose first text columns stand left and whose numbers stand right."""
    if title:
        console.print(title, style="italic", markup=False, highlight=False, soft_wrap=True)
    table = Table(header_style="bold", box=None, pad_edge=False)
    body = [list(row) for row in rows]
    for index, heading in enumerate(headings):
        numeric = all(_looks_numeric(row[index]) for row in body)
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=numeric)
    for row in body:
        table.add_row(*row)
    console.print(table)
    console.print()


def _looks_numeric(cell: str) -> bool:
    return cell == "-" or cell[:1].isdigit()
