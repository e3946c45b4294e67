from __future__ import annotations

import io
import json
import math

from sobench.report.sheet import Sheet, Table, as_csv, as_json, markdown, print_sheet
from sobench.report.terminal import PlainConsole

SHEET = Sheet(
    title="A | title",
    tables=(
        Table("First", ("row", "AP"), (("a|b", "0.1"), ("[x]", "-")), ("a line beneath",)),
        Table("Without rows", ("row",), (), ("all is the same",)),
    ),
    lines=("the end",),
    csv=({"row": "=a", "AP": 0.123456, "AR": None},),
    json={"row": "=a", "AP": math.nan, "all": [math.inf, 0.5]},
)


def test_a_sheet_on_a_terminal() -> None:
    console = PlainConsole(file=io.StringIO(), width=100)
    print_sheet(SHEET, console)
    assert isinstance(console.file, io.StringIO)
    assert [line.rstrip() for line in console.file.getvalue().splitlines()] == [
        "A | title", "", "First", "row   AP", "a|b  0.1", "[x]    -", "", "a line beneath", "",
        "all is the same", "", "the end",
    ]  # fmt: skip


def test_a_sheet_as_markdown() -> None:
    assert markdown(SHEET).split("\n\n") == [
        "## A \\| title",
        "First:",
        "| row   | AP   |\n|:------|:-----|\n| a\\|b  | 0.1  |\n| \\[x]  | -    |",
        "- a line beneath",
        "- all is the same",
        "- the end\n",
    ]


def test_a_sheet_as_files() -> None:
    assert as_csv(SHEET) == "row,AP,AR\n'=a,0.123456,\n"
    assert json.loads(as_json(SHEET)) == {"row": "=a", "AP": None, "all": [None, 0.5]}
