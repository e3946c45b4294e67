"""Leaderboards, plans and statistics on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sobench.compare.leaderboard import Leaderboard

_GAP = 2
"""Columns of the terminal between two of a table, at most."""


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """The table, the AP by class, and what stands beneath."""
    from sobench.report import tables  # which needs pandas, and lists need no leaderboard

    headings, rows = tables.columns(board)
    _print_blocks(console, headings, rows, board.title, repeated=2)
    headings, rows = tables.size_columns(board)
    if rows:
        _print_blocks(console, headings, rows, "Tested at other input sizes", repeated=2)
    headings, rows = tables.class_columns(board)
    _print_blocks(console, headings, rows, "AP by class", repeated=1)
    for line in tables.remarks(board):
        console.print(Text(line, style="dim"), soft_wrap=True)


def _print_blocks(
    console: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str,
    repeated: int,
) -> None:
    """A table cut into as many below each other as the width asks for, so that no digit is lost.

    The first ``repeated`` columns, which name the rows, stand in each of them.
    """
    wide = [max(map(cell_len, column)) + _GAP for column in zip(headings, *rows, strict=True)]
    blocks: list[list[int]] = [[]]
    for index in range(repeated, len(headings)):
        taken = sum(wide[:repeated]) + sum(wide[i] for i in blocks[-1])
        if blocks[-1] and taken + wide[index] > console.width:
            blocks.append([])
        blocks[-1].append(index)
    for number, block in enumerate(blocks):
        chosen = [*range(repeated), *block]
        part = [[row[i] for i in chosen] for row in rows]
        print_table(console, [headings[i] for i in chosen], part, None if number else title)


def print_table(
    console: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str | None = None,
) -> None:
    """A table whose first text columns stand left and whose numbers stand right."""
    if title:
        console.print(Text(title, style="italic"), soft_wrap=True)
    table = Table(header_style="bold", box=None, pad_edge=False)
    body = [list(row) for row in rows]
    for index, heading in enumerate(headings):
        numeric = all(_looks_numeric(row[index]) for row in body)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(Text(heading), justify=justify, no_wrap=numeric)
    for row in body:
        table.add_row(*(Text(cell) for cell in row))  # a str would be read as markup
    console.print(table)
    console.print()


def _looks_numeric(cell: str) -> bool:
    return cell == "-" or cell[:1].isdigit()
