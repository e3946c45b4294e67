"""A leaderboard as Markdown, short enough for a pull request."""

from __future__ import annotations

from sobench.compare.leaderboard import Leaderboard
from sobench.report import beneath
from sobench.report.columns import Place, shown_columns
from sobench.report.markup import as_markdown, pipe_table, pipes
from sobench.report.view import View

WIDTH = 120
"""Characters of a row that a page shows without scrolling."""

_MARKED: dict[Place, str] = {"": "{}", "best": "**{}**", "second": "*{}*"}


def markdown(board: Leaderboard, view: View | None = None) -> str:
    """The tables with their headings and footnotes, and the remarks as a list."""
    view = view or View()
    shown, left_out = shown_columns(board, view, WIDTH)
    headings = [as_markdown(column.title) for column in shown]
    rows = [
        [_MARKED[column.place(i)].format(as_markdown(column.cells[i])) for column in shown]
        for i in range(len(shown[0].cells))
    ]
    blocks = [f"## {as_markdown(board.title)}"]
    blocks += [f"**{as_markdown(line)}**" for line in beneath.partial_lines(board)]
    blocks.append(pipe_table(headings, rows))
    lettered = [f"{letter}: {text}" for letter, text in beneath.lettered(board)]
    marks = {place: text.format("bold" if place == "best" else "italic")
             for place, text in _MARKED.items()}  # fmt: skip
    lines = beneath.legend(shown, marks)
    blocks += lines
    notes = [*beneath.left_out_lines(left_out), *beneath.absent_lines(board)]
    notes += [*beneath.footnotes(board, shown), *lettered]
    blocks.append(_list(notes))
    if board.size_rows:
        blocks += [f"{beneath.SIZE_TITLE}:", pipes(*beneath.size_columns(board))]
    if view.per_class:
        blocks += [f"{beneath.class_title(board)}:", pipes(*beneath.class_columns(board))]
    blocks.append(_list(beneath.remarks(board)))
    return "\n\n".join(filter(None, blocks)) + "\n"


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {as_markdown(line)}" for line in lines)
