from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.text import Text

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.report.tables import class_columns, columns, footnotes, remarks
from sobench.report.terminal import PlainConsole, print_leaderboard, print_table
from sobench.suite.plan import plan
from tests.records import COST, record_of, scored, states_of
from tests.tiny_suite import tiny_suite


def console(width: int = 200) -> tuple[Console, io.StringIO]:
    target = io.StringIO()
    return Console(file=target, width=width, force_terminal=False), target


def board_of(**changes: Any) -> Leaderboard:
    suite = tiny_suite(
        methods=["fpn", "ssd"], seeds=[0, 1], protocol="visdrone-coco",
        detect={"max_detections": 500}, title="Things [seen] :eyes:",
    )  # fmt: skip
    runs = plan(suite, "aaaa")
    records = [record_of(run, 0.4 + run.seed / 10, **changes) for run in runs]
    return leaderboard.build(runs, states_of(runs, records))


def printed(board: Leaderboard, width: int = 200) -> str:
    screen, target = console(width)
    print_leaderboard(board, screen)
    return target.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200, 1000])
def test_no_cell_is_lost_at_any_width(width: int) -> None:
    board = board_of()
    text = printed(board, width)
    assert "…" not in text
    for headings, rows in (columns(board), class_columns(board)):
        for cell in (*headings, *(cell for row in rows for cell in row)):
            assert cell in text
    blocks = re.findall(r"^ +- +fpn .*$", text, re.MULTILINE)
    assert len(blocks) == {60: 6, 80: 4, 200: 2, 1000: 1}[width]
    for line in text.splitlines():
        assert len(line) <= width or line in (board.title, *footnotes(board), *remarks(board))


def test_all_remarks_are_printed() -> None:
    board = board_of()
    text = printed(board)
    assert text.splitlines()[0] == "Things [seen] :eyes:"
    assert text.rstrip().endswith("\n".join(remarks(board)))


@pytest.mark.parametrize("width", [60, 200])
def test_a_footnote_is_beneath_the_column_that_it_explains(width: int) -> None:
    board = board_of(cost=COST.model_copy(update={"extra_s": 60.0}))
    *_, note = footnotes(board)
    lines = [line.rstrip() for line in printed(board, width).splitlines()]
    place = lines.index(note)
    assert lines[place + 1 : place + 3] == ["", "AP by class"]
    assert any(line.endswith("extra min") for line in lines[:place])
    assert "extra min" not in printed(board_of(), width)


def test_names_are_not_read_as_markup() -> None:
    odd = scored(0.4, "visdrone-coco", per_class={"[red]van": {"AP": 0.1}, "[/x]": {"AP": 0.2}})
    text = printed(board_of(scored=odd))
    assert re.search(r"^method  \[red\]van   \[/x\]$", text, re.MULTILINE)
    screen, target = console()
    print_table(screen, ["[b]", "n"], [["[/b] :car:", "1"]], title="[i]")
    assert target.getvalue().split() == ["[i]", "[b]", "n", "[/b]", ":car:", "1"]


def test_what_a_terminal_obeys_is_written_out() -> None:
    target = io.StringIO()
    screen = PlainConsole(file=target, width=200, force_terminal=True, color_system="standard")
    odd = "a\x1b]0;b [/x] [red]c :car: \x9b31m\u202e"
    screen.print(odd)
    screen.print(Text(odd, style="dim"), soft_wrap=True)
    print_table(screen, [odd, "n"], [[odd, "1"]], title=odd)
    with Progress(TextColumn("{task.description}", markup=False), console=screen) as bars:
        bars.add_task(odd)
    left = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", target.getvalue())  # styles and movements of rich
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", left)
    words = r"a\x1b]0;b [/x] [red]c :car: \x9b31m\u202e"
    assert left.count(words) == 5


def test_numbers_are_aligned_right_and_words_left() -> None:
    screen, target = console()
    print_table(screen, ["name", "n"], [["a", "1.5"], ["long name", "-"], ["b", "10.25"]])
    assert [line.rstrip() for line in target.getvalue().splitlines()] == [
        "name           n",
        "a            1.5",
        "long name      -",
        "b          10.25",
        "",
    ]


def test_long_words_are_wrapped() -> None:
    screen, target = console(30)
    print_table(screen, ["a", "words"], [["1", "one two three four five six seven eight"]])
    assert len(target.getvalue().rstrip().splitlines()) == 3
    assert target.getvalue().split()[-1] == "eight"


def test_empty_table() -> None:
    screen, target = console()
    print_table(screen, ["a", "b"], [])
    assert target.getvalue().split() == ["a", "b"]
