"""Tables in LaTeX, which shows every text as it is. They need booktabs and T1 fonts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sobench.text import printable

HEAD = """\
% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}; written by sobench.
"""

_ESCAPES = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", '"': "\\textquotedbl{}",
    "`": "\\textasciigrave{}", "±": "$\\pm$", "×": "$\\times$",
} | {mark: f"\\{mark}" for mark in "_&%$#{}"}  # fmt: skip

_JOINED = re.compile("([-',])(?=\\1)")
"""Two of these would be set as one dash or quote."""

_TYPESET = re.compile("[\x20-\x7e\xa1-\xa3\xa7\xab\xbb\xbf-\xff\u0100-\u017e]")
"""What LaTeX sets in the encoding T1 without further packages: the languages of Europe."""


def as_latex(text: str) -> str:
    """A text that LaTeX sets as it is, on one line; other scripts as numbers such as U+4E2D."""
    apart = _JOINED.sub("\\1\0", printable(text))
    return "".join("{}" if c == "\0" else _character(c) for c in apart)


def _character(character: str) -> str:
    if escaped := _ESCAPES.get(character):
        return escaped
    return character if _TYPESET.fullmatch(character) else f"U+{ord(character):04X}"


def comments(lines: Iterable[str]) -> str:
    """Lines that LaTeX passes over."""
    return "".join(f"% {printable(line)}\n" for line in lines)


def floating_table(caption: str, tabular: str, footnotes: Sequence[str] = ()) -> str:
    """A table as wide as the page, of texts and a tabular that is LaTeX already."""
    lines = [
        "\\begin{table*}", "\\centering", "\\small", "\\setlength{\\tabcolsep}{4pt}",
        f"\\caption{{{as_latex(caption)}}}", tabular,
    ]  # fmt: skip
    if footnotes:
        texts = "\\par\n".join(map(as_latex, footnotes))
        lines.append(f"\\par\\smallskip\n\\parbox{{\\textwidth}}{{\\footnotesize {texts}}}")
    return "\n".join([*lines, "\\end{table*}", ""])


def tabular(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """A tabular of plain cells, those of the first columns aligned left."""
    aligned = "l" * words + "r" * (len(headings) - words)
    return tabular_of_latex(
        aligned, [*map(as_latex, headings)], [[*map(as_latex, row)] for row in rows]
    )


def tabular_of_latex(aligned: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A tabular of cells that are LaTeX already."""
    # A row that begins with a bracket or a star would be an option of the line's end before it.
    texts = [" & ".join(cells) for cells in (headings, *rows)]
    written = [f"{'{}' if text[:1] in ('[', '*') else ''}{text} \\\\" for text in texts]
    return "\n".join([
        f"\\begin{{tabular}}{{@{{}}{aligned}@{{}}}}", "\\toprule", written[0], "\\midrule",
        *written[1:], "\\bottomrule", "\\end{tabular}",
    ])  # fmt: skip
