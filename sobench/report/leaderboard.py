"""Leaderboards on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sobench.compare.leaderboard import Leaderboard
from sobench.report import beneath
from sobench.report.columns import GAP, Column, Place, shown_columns
from sobench.report.terminal import print_blocks, print_lettered, print_lines
from sobench.report.view import View
from sobench.text import printable

MARKS: dict[Place, str] = {"": " ", "best": "*", "second": "+"}
"""What stands behind a cell, with or without colours."""

_STYLES: dict[Place, str] = {"": "", "best": "bold", "second": "underline"}
_LABEL_SHARE = 4
"""Names of rows may take a fourth of the width; longer ones go on in the next line."""
_SHORTEST_LABEL = 16


def print_leaderboard(board: Leaderboard, console: Console, view: View | None = None) -> None:
    """The tables of a leaderboard with their footnotes, and the remarks beneath them."""
    view = view or View()
    longest = max(_SHORTEST_LABEL, console.width // _LABEL_SHARE)
    shown, left_out = shown_columns(board, view, console.width, longest)
    console.print(Text(board.title, style="italic"), soft_wrap=True)
    print_lines(console, beneath.partial_lines(board), "bold yellow")
    for block in _blocks(shown, console.width, longest):
        _print_columns(console, block, longest)
        console.print()
    print_lines(console, beneath.legend(shown, MARKS))
    print_lines(console, beneath.left_out_lines(left_out))
    print_lines(console, beneath.absent_lines(board))
    print_lines(console, beneath.footnotes(board, shown))
    if lettered := beneath.lettered(board):
        console.print()
        print_lettered(console, lettered)
    console.print()
    headings, rows = beneath.size_columns(board)
    if rows:
        print_blocks(console, headings, rows, beneath.SIZE_TITLE, repeated=2)
    if view.per_class:
        print_blocks(console, *beneath.class_columns(board), beneath.class_title(board), repeated=1)
    print_lines(console, beneath.remarks(board))


def _blocks(columns: Sequence[Column], width: int, longest: int) -> list[list[Column]]:
    """The columns in as many tables, one below the other, as the width asks for.

    So no digit is lost. Those at the left, which name the rows, are in every table.
    """
    naming = [column for column in columns if column.name in ("tier", "method", "seed", "notes")]
    begin = sum(_room(column, longest) for column in naming) - GAP
    blocks, left = [[*naming]], width - begin
    for column in columns:
        if column in naming:
            continue
        if _room(column, longest) > left and len(blocks[-1]) > len(naming):
            blocks.append([*naming])
            left = width - begin
        blocks[-1].append(column)
        left -= _room(column, longest)
    return blocks


def _room(column: Column, longest: int) -> int:
    return GAP + (min(column.width, longest) if column.name == "method" else column.width)


def _print_columns(console: Console, columns: Sequence[Column], longest: int) -> None:
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        title = _aligned(column, printable(column.title), "" if column.places else None)
        if column.name == "method":
            table.add_column(title, overflow="fold", max_width=longest)
        else:
            table.add_column(title, no_wrap=True)
    for index in range(len(columns[0].cells)):
        cells = ((column, column.cells[index], column.place(index)) for column in columns)
        table.add_row(
            *(
                _aligned(column, printable(text), place if column.places else None)
                for column, text, place in cells
            )
        )
    console.print(table)


def _aligned(column: Column, text: str, place: Place | None) -> Text:
    """A cell as wide as its column, with its mark; ``place`` is of a column that has marks."""
    if column.is_text:
        return Text(text)
    if place is None:
        return Text(text.rjust(column.width))
    return Text(f"{text.rjust(column.width - 1)}{MARKS[place]}", style=_STYLES[place])
