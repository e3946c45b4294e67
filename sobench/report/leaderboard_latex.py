"""A leaderboard as a LaTeX table, to be put into a paper with ``\\input``."""

from __future__ import annotations

from collections.abc import Sequence

from sobench.compare.leaderboard import Leaderboard
from sobench.report import beneath
from sobench.report.columns import Column, Place, shown_columns
from sobench.report.latex import (
    HEAD,
    as_latex,
    comments,
    floating_table,
    tabular,
    tabular_of_latex,
)
from sobench.report.view import View

WIDTH = 96
"""Characters of a row that fit into the width of a page in small type."""

_MARKED: dict[Place, str] = {"": "{}", "best": "\\textbf{{{}}}", "second": "\\underline{{{}}}"}


def latex(board: Leaderboard, view: View | None = None) -> str:
    """Floating tables as wide as the page, with footnotes; they need booktabs and T1 fonts.

    The best of a column is bold, the second underlined. Notes and provenance, which no paper has
    room for, are comments at the top.
    """
    view = view or View()
    shown, left_out = shown_columns(board, view, WIDTH)
    lines = beneath.legend(shown, {"best": "bold:", "second": "underlined:"})
    lines += beneath.footnotes(board, shown)
    if any(column.name == "notes" for column in shown):
        lines += [f"{letter}: {text}" for letter, text in beneath.lettered(board)]
    title = ". ".join([board.title, *beneath.partial_lines(board)])
    tables = [floating_table(title, _tabular_of(shown), lines)]
    if board.size_rows:
        sizes = tabular(*beneath.size_columns(board), words=2)
        tables.append(floating_table(f"{board.title}. {beneath.SIZE_TITLE}", sizes))
    if view.per_class:
        classes = tabular(*beneath.class_columns(board), words=1)
        tables.append(floating_table(f"{board.title}. {beneath.class_title(board)}", classes))
    above = [*beneath.left_out_lines(left_out), *beneath.remarks(board)]
    return HEAD + comments(above) + "\n".join(tables)


def _tabular_of(columns: Sequence[Column]) -> str:
    """The columns with their marks."""
    rows = [
        [_MARKED[column.place(i)].format(as_latex(column.cells[i])) for column in columns]
        for i in range(len(columns[0].cells))
    ]
    aligned = "".join("l" if column.is_text else "r" for column in columns)
    return tabular_of_latex(aligned, [as_latex(column.title) for column in columns], rows)
