"""Text and tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from sobench.text import printable

_GAP = 2
"""Characters between two columns of a table, at most."""

_INDENT = 4
"""Characters before what stands beneath a row."""


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
        # A word that is too long is broken: rich would cut it, and nobody could copy a path.
        table.add_column(Text(heading), justify=justify, no_wrap=numeric, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))  # a str would be read as markup
    console.print(table)
    console.print()


def print_entries(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of words, which have lines of their own beneath a row that is too wide.

    The widest columns go there first, the same of all rows; the first column stays.
    """
    columns = [*zip(headings, *rows, strict=True)]
    widths = [max(cell_len(printable(cell)) for cell in column) for column in columns]
    kept, beneath = [*range(len(headings))], list[int]()
    while len(kept) > 1 and sum(widths[i] + _GAP for i in kept) - _GAP > console.width:
        widest = max(kept[1:], key=lambda i: widths[i])
        kept.remove(widest)
        beneath = sorted([*beneath, widest])
    if not beneath:
        print_table(console, headings, rows)
        return
    for number, row in enumerate((headings, *rows)):
        style = "" if number else "bold"
        cells = [printable(row[i]) + " " * (widths[i] - cell_len(printable(row[i]))) for i in kept]
        console.print(Text((" " * _GAP).join(cells).rstrip(), style=style), soft_wrap=True)
        for index in beneath:
            if row[index] != "-":
                _print_wrapped(console, row[index], " " * _INDENT, " " * _INDENT, style)
    console.print()


def print_warning(console: Console, text: str) -> None:
    """Print a line that is to be noticed."""
    console.print(text, style="yellow", soft_wrap=True)


def print_lines(console: Console, lines: Iterable[str], style: str = "dim") -> None:
    """Print lines; one that is too long goes on in the next, indented."""
    for line in lines:
        _print_wrapped(console, line, "", "  ", style)


def print_lettered(console: Console, lines: Iterable[tuple[str, str]], style: str = "dim") -> None:
    """Print texts behind their letters; one that is too long goes on beneath its beginning."""
    for letter, text in lines:
        first = f"{letter:<2} "
        _print_wrapped(console, text, first, " " * len(first), style)


def _print_wrapped(console: Console, text: str, first: str, further: str, style: str) -> None:
    # No word is cut, for it may be a path that somebody wants to copy.
    wrapped = wrap(
        printable(text), console.width, initial_indent=first, subsequent_indent=further,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    for line in wrapped:
        console.print(Text(line, style=style), soft_wrap=True)


def _looks_numeric(cell: str) -> bool:
    return cell in ("", "-") or cell[:1].isdigit()
