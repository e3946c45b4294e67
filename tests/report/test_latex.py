"""LaTeX: every character is set as it is, and every table is whole."""

from __future__ import annotations

import re

import pytest

from sobench.compare import leaderboard
from sobench.report.latex import as_latex, floating_table, tabular
from sobench.report.leaderboard_latex import latex
from sobench.report.view import View
from sobench.suite.plan import plan
from tests.records import record_of, scored, states_of
from tests.report.boards import HOSTILE, board_of, hostile_board
from tests.tiny_suite import tiny_suite

ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "±": r"$\pm$", "×": r"$\times$",
}  # fmt: skip
SPECIAL = "\\{}$&#%_^~"


@pytest.mark.parametrize("character", ESCAPED)
def test_a_special_character_is_set_as_it_is(character: str) -> None:
    assert as_latex(character) == ESCAPED[character]
    assert as_latex(f"a{character}b{character}") == f"a{ESCAPED[character]}b{ESCAPED[character]}"


def test_no_escape_is_escaped_again() -> None:
    assert as_latex(r"\_{}") == r"\textbackslash{}\_\{\}"
    assert as_latex("100 % of {a_b} & $c^2$ ~ #1") == (
        r"100 \% of \{a\_b\} \& \$c\textasciicircum{}2\$ \textasciitilde{} \#1"
    )


def test_everything_that_is_printed_in_ascii_is_plain_or_escaped() -> None:
    for code in range(0x20, 0x7F):
        text = as_latex(chr(code))
        bare = re.sub(r"\\text[a-z]+\{\}|\\[_&%$#{}]", "", text)
        assert not {*bare} & {*SPECIAL}, chr(code)


def test_dashes_and_quotes_are_not_joined() -> None:
    assert as_latex("--limit") == "-{}-limit"
    assert as_latex("a---b''c,,d") == "a-{}-{}-b'{}'c,{},d"


def test_control_characters_and_other_scripts_are_written_out() -> None:
    assert as_latex("a\x1b[31m\nb") == r"a\textbackslash{}x1b[31m\textbackslash{}nb"
    assert as_latex("größer 中") == "größer U+4E2D"


def check_whole(text: str) -> None:
    """Environments that nest, braces that close, and as many cells in each row as columns."""
    body = re.sub(r"(?m)^%.*\n", "", text)
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", body):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    unescaped = re.sub(r"\\[{}]", "", body)
    assert unescaped.count("{") == unescaped.count("}")
    tabulars = re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}\n(.*?)\\end", body, re.DOTALL)
    assert len(tabulars) == body.count(r"\begin{table*}") > 0
    for aligned, table in tabulars:
        lines = table.splitlines()
        assert (lines[0], lines[2], lines[-1]) == (r"\toprule", r"\midrule", r"\bottomrule")
        for row in (lines[1], *lines[3:-1]):
            assert row.endswith(r" \\")
            assert len(re.findall(r"(?<!\\)&", row)) == len(aligned) - 1, row


@pytest.mark.parametrize(
    "view", [View(), View(wide=True), View(by_seed=True), View(per_class=True),
             View(columns=("AP", "AP50_interval"))],
)  # fmt: skip
def test_every_table_of_a_leaderboard_is_whole(view: View) -> None:
    for board in (board_of(1), board_of(2), hostile_board()):
        check_whole(latex(board, view))


def test_names_of_special_characters_stay_within_their_cells() -> None:
    label = SPECIAL + "|<>\"`'--"
    runs = plan(tiny_suite(methods=[{"name": "fpn", "label": label}, "ssd"], title=label), "aaaa")
    per_class = {name: {"AP": 0.1} for name in (*HOSTILE, SPECIAL)}
    records = [record_of(run, scored=scored(0.4, per_class=per_class)) for run in runs]
    text = latex(leaderboard.build(runs, states_of(runs, records)), View(per_class=True))
    check_whole(text)
    assert text.count(as_latex(label)) >= 3  # caption, row, and row by class
    assert as_latex(SPECIAL) in text


def test_a_table_of_texts_is_whole() -> None:
    rows = [["[a]", "*", "1 & 2"], ["", "\\\\", "}{"]]
    text = floating_table("50 % & more_", tabular(["x_1", "y&z", "#"], rows, 1), ["a {note}"])
    check_whole(text)
    assert "\n{}[a] & * & 1 \\& 2 \\\\\n" in text
    assert r"\caption{50 \% \& more\_}" in text
