"""A leaderboard as a LaTeX table, to be put into a paper with ``\\input``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sobench.compare.leaderboard import Leaderboard
from sobench.report import beneath
from sobench.report.columns import Column, Place, shown_columns
from sobench.report.view import View
from sobench.text import printable

WIDTH = 96
"""Characters of a row that fit into the width of a page in small type."""

_HEAD = """\
% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}; written by sobench report.
"""
_MARKED: dict[Place, str] = {"": "{}", "best": "\\textbf{{{}}}", "second": "\\underline{{{}}}"}

_ESCAPES = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", '"': "\\textquotedbl{}",
    "`": "\\textasciigrave{}", "±": "$\\pm$", "×": "$\\times$",
} | {mark: f"\\{mark}" for mark in "_&%$#{}"}  # fmt: skip

_JOINED = re.compile("([-',])(?=\\1)")
"""Two of these would be set as one dash or quote."""

_TYPESET = re.compile("[\x20-\x7e\xa1-\xa3\xa7\xab\xbb\xbf-\xff\u0100-\u017e]")
"""What LaTeX sets in the encoding T1 without further packages: the languages of Europe."""


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
    tables = [_table(title, _tabular_of(shown), lines)]
    if board.size_rows:
        sizes = _tabular(*beneath.size_columns(board), words=2)
        tables.append(_table(f"{board.title}. {beneath.SIZE_TITLE}", sizes))
    if view.per_class:
        classes = _tabular(*beneath.class_columns(board), words=1)
        tables.append(_table(f"{board.title}. {beneath.CLASS_TITLE}", classes))
    comments = [*beneath.left_out_lines(left_out), *beneath.remarks(board)]
    return _HEAD + "".join(f"% {printable(line)}\n" for line in comments) + "\n".join(tables)


def as_latex(text: str) -> str:
    """A text that LaTeX sets as it is, on one line; other scripts as numbers such as U+4E2D."""
    apart = _JOINED.sub("\\1\0", printable(text))
    return "".join("{}" if c == "\0" else _character(c) for c in apart)


def _character(character: str) -> str:
    if escaped := _ESCAPES.get(character):
        return escaped
    return character if _TYPESET.fullmatch(character) else f"U+{ord(character):04X}"


def _table(caption: str, tabular: str, footnotes: Sequence[str] = ()) -> str:
    lines = [
        "\\begin{table*}", "\\centering", "\\small", "\\setlength{\\tabcolsep}{4pt}",
        f"\\caption{{{as_latex(caption)}}}", tabular,
    ]  # fmt: skip
    if footnotes:
        texts = "\\par\n".join(map(as_latex, footnotes))
        lines.append(f"\\par\\smallskip\n\\parbox{{\\textwidth}}{{\\footnotesize {texts}}}")
    return "\n".join([*lines, "\\end{table*}", ""])


def _tabular_of(columns: Sequence[Column]) -> str:
    """The columns with their marks."""
    rows = [
        [_MARKED[column.place(i)].format(as_latex(column.cells[i])) for column in columns]
        for i in range(len(columns[0].cells))
    ]
    aligned = "".join("l" if column.is_text else "r" for column in columns)
    return _lines(aligned, [as_latex(column.title) for column in columns], rows)


def _tabular(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """Plain cells, those of the first columns as words."""
    aligned = "l" * words + "r" * (len(headings) - words)
    return _lines(aligned, [*map(as_latex, headings)], [[*map(as_latex, row)] for row in rows])


def _lines(aligned: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # A row that begins with a bracket or a star would be an option of the line's end before it.
    texts = [" & ".join(cells) for cells in (headings, *rows)]
    written = [f"{'{}' if text[:1] in ('[', '*') else ''}{text} \\\\" for text in texts]
    return "\n".join([
        f"\\begin{{tabular}}{{@{{}}{aligned}@{{}}}}", "\\toprule", written[0], "\\midrule",
        *written[1:], "\\bottomrule", "\\end{tabular}",
    ])  # fmt: skip
