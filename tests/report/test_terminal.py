from __future__ import annotations

import io
import re

from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.text import Text

from sobench.report.terminal import (
    PlainConsole,
    print_entries,
    print_lettered,
    print_lines,
    print_table,
)


def console(width: int = 200) -> tuple[Console, io.StringIO]:
    target = io.StringIO()
    return Console(file=target, width=width, force_terminal=False), target


def test_names_are_not_read_as_markup() -> None:
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


def test_long_lines_go_on_indented_and_no_path_is_cut() -> None:
    screen, target = console(30)
    path = "/a/path/that/is/much/longer/than/the/line"
    print_lines(screen, [f"one two three four five six {path} seven", "short"])
    print_lettered(screen, [("a", "one two three four five six seven"), ("aa", "eight")])
    assert target.getvalue().splitlines() == [
        "one two three four five six",
        f"  {path}",
        "  seven",
        "short",
        "a  one two three four five six",
        "   seven",
        "aa eight",
    ]


def test_what_has_no_room_stands_beneath_its_row() -> None:
    headings = ["name", "n", "title", "paper"]
    rows = [
        ["a", "12", "a short title", "Some Authors, Journal 12(3), doi:10.1000/abc.2024.123456"],
        ["longer", "3", "another", "-"],
    ]
    screen, target = console(83)
    print_entries(screen, headings, rows)
    assert [line.split()[-1] for line in target.getvalue().splitlines() if line] == [
        "paper", "doi:10.1000/abc.2024.123456", "-",
    ]  # fmt: skip
    screen, target = console(62)
    print_entries(screen, headings, rows)
    assert target.getvalue().splitlines() == [
        "name    n   title",
        "    paper",
        "a       12  a short title",
        "    Some Authors, Journal 12(3), doi:10.1000/abc.2024.123456",
        "longer  3   another",
        "",
    ]
    screen, target = console(20)
    print_entries(screen, headings, rows)
    assert target.getvalue().splitlines() == [
        "name    n",
        "    title",
        "    paper",
        "a       12",
        "    a short title",
        "    Some Authors,",
        "    Journal 12(3),",
        "    doi:10.1000/abc.2024.123456",
        "longer  3",
        "    another",
        "",
    ]


def test_a_word_that_is_too_long_is_broken_and_not_cut() -> None:
    screen, target = console(20)
    print_table(screen, ["path", "words"], [["some/folder/of/a/suite.yaml", "one two three"]])
    text = target.getvalue()
    assert "…" not in text
    assert "".join(line.split("  ")[0].strip() for line in text.splitlines()[1:]) == (
        "some/folder/of/a/suite.yaml"
    )
