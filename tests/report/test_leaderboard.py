"""A leaderboard on terminals of several widths, with and without colours."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.report.beneath import class_columns, lettered, remarks
from sobench.report.columns import shown_columns
from sobench.report.leaderboard import print_leaderboard
from sobench.report.markdown import markdown
from sobench.report.terminal import PlainConsole
from sobench.report.view import View
from sobench.suite.plan import plan
from tests.records import COST, record_of, scored, states_of
from tests.tiny_suite import tiny_suite

LONG = "a row with a name that is longer than a table of this width has room for"
WIDE = View(wide=True, per_class=True)


def board_of(**changes: Any) -> Leaderboard:
    suite = tiny_suite(
        methods=["fpn", {"name": "ssd", "label": LONG}], seeds=[0, 1], protocol="visdrone-coco",
        detect={"max_detections": 500}, title="Things [seen] :eyes:",
    )  # fmt: skip
    runs = plan(suite, "aaaa")
    aps = {"fpn": 0.4, LONG: 0.3}
    records = [record_of(run, aps[run.entry.label] + run.seed / 10, **changes) for run in runs]
    return leaderboard.build(runs, states_of(runs, records))


def printed(board: Leaderboard, width: int = 200, view: View | None = None) -> str:
    target = io.StringIO()
    print_leaderboard(board, Console(file=target, width=width, force_terminal=False), view)
    return target.getvalue()


def words(text: str) -> str:
    """What is printed, without its breaks of lines."""
    return " ".join(text.split())


@pytest.mark.parametrize("width", [60, 80, 100, 160, 200, 1000])
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_cut(width: int) -> None:
    board = board_of()
    text = printed(board, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    shown, left_out = shown_columns(board, View(), width, max(16, width // 4))
    for column in shown:
        for cell in (column.title, *column.cells):
            assert words(cell) in words(text) or column.name == "method"
    for column in left_out:
        assert column.title in words(text)
    assert ("no room for" in words(text)) == (width < 1000)
    assert len(re.findall(r"^ +- +fpn .*$", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("width", [60, 80, 200, 1000])
def test_a_wide_report_has_every_column_at_any_width(width: int) -> None:
    board = board_of()
    text = printed(board, width, WIDE)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "no room" not in text
    for column in shown_columns(board, WIDE)[0]:
        assert column.title in text
        assert all(cell in text for cell in column.cells if column.name != "method")
    blocks = re.findall(r"^ +- +fpn .*$", text, re.MULTILINE)
    assert len(blocks) == {60: 7, 80: 4, 200: 2, 1000: 1}[width]


def test_best_and_second_are_told_without_colours() -> None:
    text = printed(board_of(), 100)
    assert re.search(r"^ +- +fpn +0\.450\* ", text, re.MULTILINE)
    assert re.search(r" 0\.350\+ ", text)
    assert "* best of a column, + second" in text
    assert "\x1b" not in text


def test_best_and_second_have_styles_where_there_are_some() -> None:
    target = io.StringIO()
    screen = PlainConsole(file=target, width=100, force_terminal=True, color_system="standard")
    print_leaderboard(board_of(), screen)
    assert re.search(r"\x1b\[1m *0\.450\*\x1b\[0m", target.getvalue())
    assert re.search(r"\x1b\[4m *0\.350\+\x1b\[0m", target.getvalue())


def test_each_deviation_is_told_once_beneath_its_letter() -> None:
    board = board_of()
    text = printed(board, 80)
    assert lettered(board)
    for letter, told in lettered(board):
        assert words(f"{letter} {told}") in words(text)
        assert words(text).count(told) == 1


def test_all_remarks_are_printed() -> None:
    board = board_of()
    text = printed(board)
    assert text.splitlines()[0] == "Things [seen] :eyes:"
    assert text.rstrip().endswith("\n".join(remarks(board)))


def test_a_partial_result_is_marked_above_the_table() -> None:
    runs = plan(tiny_suite(), "aaaa", 2, ["--limit 2"])
    board = leaderboard.build(runs, states_of(runs, [record_of(run) for run in runs]))
    told = "PARTIAL RESULT (--limit 2): not comparable with the full suite"
    assert printed(board).splitlines()[:2] == ["tiny", told]
    assert printed(board).count("PARTIAL") == 1


@pytest.mark.parametrize("width", [80, 300])
def test_a_footnote_explains_a_column_that_is_shown(width: int) -> None:
    board = board_of(cost=COST.model_copy(update={"extra_s": 60.0}))
    note = "extra min: the share of train min spent beyond one training"
    assert (note in words(printed(board, width))) == (width == 300)
    assert note in words(printed(board, width, View(wide=True)))
    assert "extra min" not in printed(board_of(), width)


def test_names_are_not_read_as_markup() -> None:
    odd = scored(0.4, "visdrone-coco", per_class={"[red]van": {"AP": 0.1}, "[/x]": {"AP": 0.2}})
    board = board_of(scored=odd)
    text = printed(board, view=View(per_class=True))
    assert re.search(r"^method .* \[red\]van   \[/x\]$", text, re.MULTILINE)
    assert class_columns(board)[0] == ["method", "[red]van", "[/x]"]


def test_rows_without_any_result_are_named_beneath_the_table() -> None:
    runs = plan(tiny_suite(methods=["fpn", "ssd", "pafpn"], seeds=[0, 1]), "aaaa")
    board = leaderboard.build(runs, states_of(runs, [record_of(runs[0])]))
    told = "2 rows without a result are not in the table: ssd, pafpn"
    assert f"\n{told}\n" in printed(board)
    assert f"\n- {told}\n" in markdown(board)
    whole = leaderboard.build(runs, states_of(runs, [record_of(run) for run in runs[:3]]))
    assert "without a result" not in printed(whole) + markdown(whole)
