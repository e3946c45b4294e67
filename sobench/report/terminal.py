"""Leaderboards, plans and statistics on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from sobench.text import printable

if TYPE_CHECKING:
    from sobench.compare.leaderboard import Leaderboard

_GAP = 2
"""Characters between two columns of a table, at most."""


class PlainConsole(Console):
    """A console for text that others wrote: brackets, colons and control characters are text."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as the base class does, and write out what a terminal would obey."""
        for segment in super().render(renderable, options):
            if segment.control is None:
                segment = segment._replace(text=printable(segment.text, keep="\n"))
            yield segment


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """The tables of a leaderboard with their footnotes, and the remarks beneath them."""
    from sobench.report import tables  # here, because it needs pandas and `sobench list` does not

    headings, rows = tables.columns(board)
    print_blocks(console, headings, rows, board.title, repeated=2)
    footnotes = tables.footnotes(board)
    for line in footnotes:
        console.print(Text(line, style="dim"), soft_wrap=True)
    if footnotes:
        console.print()
    headings, rows = tables.size_columns(board)
    if rows:
        print_blocks(console, headings, rows, "Tested on other inputs", repeated=2)
    headings, rows = tables.class_columns(board)
    print_blocks(console, headings, rows, f"{board.class_metric} by class", repeated=1)
    for line in tables.remarks(board):
        console.print(Text(line, style="dim"), soft_wrap=True)


def print_blocks(
    console: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str,
    repeated: int,
) -> None:
    """Print a table in as many blocks, one below the other, as the width asks for.

    So no digit is lost. The first ``repeated`` columns, which name the rows, are in every block.
    """
    widths = [max(map(cell_len, column)) + _GAP for column in zip(headings, *rows, strict=True)]
    blocks: list[list[int]] = [[]]
    for index in range(repeated, len(headings)):
        taken = sum(widths[:repeated]) + sum(widths[i] for i in blocks[-1])
        if blocks[-1] and taken + widths[index] > console.width:
            blocks.append([])
        blocks[-1].append(index)
    for number, block in enumerate(blocks):
        indices = [*range(repeated), *block]
        block_rows = [[row[i] for i in indices] for row in rows]
        print_table(console, [headings[i] for i in indices], block_rows, None if number else title)


def print_table(
    console: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str | None = None,
) -> None:
    """Print a table with columns of text aligned left and columns of numbers aligned right."""
    if title:
        console.print(Text(title, style="italic"), soft_wrap=True)
    table = Table(header_style="bold", box=None, pad_edge=False)
    # Written out before the widths are taken, or a cell would be cut.
    headings, *cells = [[printable(cell) for cell in row] for row in (headings, *rows)]
    for index, heading in enumerate(headings):
        numeric = all(_looks_numeric(row[index]) for row in cells)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(Text(heading), justify=justify, no_wrap=numeric)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))  # a str would be read as markup
    console.print(table)
    console.print()


def print_warning(console: Console, text: str) -> None:
    """Print a line that is to be noticed."""
    console.print(text, style="yellow", soft_wrap=True)


def _looks_numeric(cell: str) -> bool:
    return cell == "-" or cell[:1].isdigit()
