"""Published tables in all forms: apart, as printed, and readable at 80 columns."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.compare.published import Paper, read_papers
from sobench.compare.published_fit import published_for
from sobench.report.published import published_sheet
from sobench.report.sheet import Sheet, as_csv, as_json, markdown, print_sheet
from sobench.report.terminal import PlainConsole
from sobench.suite.plan import plan
from sobench.suite.reader import load
from sobench.suite.sections import Suite
from tests.records import record_of, states_of
from tests.suite.shipped import SHIPPED
from tests.tiny_suite import tiny_suite

FOLDER = Path(__file__).parents[2] / "baselines" / "published"
PAPERS = read_papers(FOLDER)

EVERY_TABLE = ("zoominnet_table1", "zoominnet_table2", "voc", "coco", "coco_small", "tt100k")
"""Shipped suites that have all published tables among them."""

HOSTILE = "a|b [x] <b> *c* `d` \x1b[2J"


def suite() -> Suite:
    dataset = {"format": "visdrone", "root": "data"}
    return Suite.model_validate(tiny_suite().model_dump(mode="json") | {"dataset": dataset})


@cache
def shipped(name: str) -> Suite:
    (path,) = (path for path in SHIPPED if path.stem == name)
    return load(path)


def board() -> Leaderboard:
    runs = plan(tiny_suite(seeds=[0, 1]), "aaaa")
    return leaderboard.build(runs, states_of(runs, map(record_of, runs, (0.2, 0.4))))


def paper(label: str = "one", unit: str = "percent") -> Paper:
    rows = (
        {"label": label, "values": ("12.30", "5"), "methods": ({"name": "fpn"},), "note": "odd"},
        {"label": "+two", "values": ("-", "6")},
    )
    table = {
        "number": "1", "shows": "rows", "data": "visdrone", "unit": unit, "rows": rows,
        "columns": ({"heading": "mAP", "metric": "AP"}, {"heading": "FPS", "unit": "images/s"}),
        "settings": {"schedule.lr": 0.02}, "notes": ("text and table differ",),
    }  # fmt: skip
    return Paper.model_validate(
        {"name": "Own", "title": "A title", "authors": "I", "year": 2020, "source": "nowhere",
         "notes": ("of all",), "tables": (table, table | {"number": "2"})}
    )  # fmt: skip


def sheet(paper: Paper, measured: bool = True) -> Sheet:
    return published_sheet(suite(), published_for(suite(), [paper]), board() if measured else None)


def printed(sheet: Sheet, width: int = 80) -> list[str]:
    console = PlainConsole(file=io.StringIO(), width=width)
    print_sheet(sheet, console)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_table_with_the_measured_row_beneath_the_published_one() -> None:
    lines = printed(sheet(paper()))
    start = lines.index("Own (I, 2020), Table 1: rows (percent)")
    assert lines[0] == "Published, not measured here: tiny"
    assert lines[start + 1 : start + 5] == [
        "row            mAP  FPS",
        "one          12.30    5",
        "  here: fpn   30.0    -",
        "+two             -    6",
    ]
    assert "all tables of Own here, differs: schedule.lr: here 0.005, there 0.02" in lines
    assert "one: odd" in lines
    assert "note: text and table differ" in lines
    assert "Own, note: of all" in lines
    # What all tables have in common is told once.
    assert sum("schedule.lr" in line for line in lines) == 1


def test_a_fraction_is_shown_as_one() -> None:
    rows = sheet(paper(unit="fraction")).tables[0].rows
    assert rows[1] == ("  here: fpn", "0.300", "-")


def test_without_results_there_is_no_measured_row() -> None:
    without = sheet(paper(), measured=False)
    assert [row[0] for row in without.tables[0].rows] == ["one", "+two"]
    assert {row["measured"] for row in without.csv} == {None}


def test_no_table_fits() -> None:
    empty = published_sheet(suite(), [], board())
    assert printed(empty)[2:] == ["no published table is on the data of this suite"]
    assert json.loads(as_json(empty))["tables"] == []


def test_markdown_shows_names_as_they_are() -> None:
    text = markdown(sheet(paper(HOSTILE)))
    assert r"| a\|b \[x] &lt;b> \*c\* \`d\` \x1b\[2J | 12.30 | 5" in " ".join(text.split())
    assert "\x1b" not in text
    assert text.startswith("## Published, not measured here: tiny\n")


def test_csv_has_a_line_for_every_cell() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(sheet(paper())))))
    assert len(lines) == 8
    first = {"paper": "Own", "table": "1", "row": "one", "column": "mAP", "metric": "AP"}
    first |= {"unit": "percent", "published": "12.30", "here": "fpn"}
    assert float(lines[0].pop("measured")) == pytest.approx(0.3)
    assert lines[0] == first
    assert (lines[1]["unit"], lines[1]["measured"]) == ("images/s", "")
    assert lines[2]["row"] == "'+two"  # a spreadsheet would take it for a formula
    assert lines[2]["here"] == ""


def test_json_is_what_the_file_has_to_the_digit() -> None:
    """Against the files themselves, read without the classes that hold them."""
    files = {
        content["name"]: content
        for content in (yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yaml"))
    }
    compared = set()
    for suite in map(shipped, EVERY_TABLE):
        tables = published_for(suite, PAPERS)
        content = json.loads(as_json(published_sheet(suite, tables, None)))
        for table in content["tables"]:
            (in_file,) = (
                t for t in files[table["paper"]]["tables"] if t["number"] == table["number"]
            )
            for row, row_in_file in zip(table["rows"], in_file["rows"], strict=True):
                values = row_in_file["values"]
                assert row["label"] == row_in_file["label"]
                assert row["values"] == (values.split() if isinstance(values, str) else values)
            headings = [column["heading"] for column in in_file["columns"]]
            assert [column["heading"] for column in table["columns"]] == headings
            assert table["settings"] == in_file.get("settings", {})
            compared.add((table["paper"], table["number"]))
    assert compared == {(name, t["number"]) for name, c in files.items() for t in c["tables"]}


@pytest.mark.parametrize("name", EVERY_TABLE)
def test_all_tables_are_readable_at_80_columns(name: str) -> None:
    made = published_sheet(shipped(name), published_for(shipped(name), PAPERS), None)
    for table in made.tables:
        only = Sheet("", (replace(table, title="", lines=()),), (), (), {})
        lines = printed(only)
        assert max(map(len, lines)) <= 80
        shown = " ".join(lines).split()
        for cell in (*table.headings, *(cell for row in table.rows for cell in row)):
            assert {*cell.split()} <= {*shown}  # not one is cut
