from __future__ import annotations

import re

import pandas as pd
import pytest

from sobench.compare import leaderboard
from sobench.report.beneath import remarks
from sobench.report.markdown import markdown
from sobench.report.markup import as_markdown
from sobench.report.view import View
from sobench.suite.plan import plan
from tests.records import COST, record_of, states_of
from tests.report.boards import HOSTILE, board_of, hostile_board
from tests.tiny_suite import tiny_suite

EVERYTHING = View(per_class=True, wide=True)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]


def markdown_table(text: str, number: int) -> pd.DataFrame:
    """The pipe table of this number, read back as text."""
    blocks = [b for b in text.split("\n\n") if b.startswith("|")]
    headings, rule, *rows = blocks[number].splitlines()
    assert set(rule) <= set("|:-")
    return pd.DataFrame([cells(line) for line in rows], columns=cells(headings))


def plain(cell: object) -> str:
    return str(cell).strip("*")


def test_markdown_reads_back() -> None:
    runs = plan(tiny_suite(methods=["fpn", "ssd"], seeds=[0, 1]), "aaaa")
    aps = {"fpn": 1 / 3, "ssd": 0.7}
    records = [record_of(run, aps[run.entry.name] + run.seed / 7) for run in runs]
    board = leaderboard.build(runs, states_of(runs, records))
    columns = ("AP_std", *board.metrics)
    text = markdown(board, View(columns=columns, per_class=True))
    table = markdown_table(text, 0).set_index("method")
    assert table.index.tolist() == ["ssd", "fpn"]
    assert table.columns.tolist() == ["±", *board.metrics]
    for row in board.rows:
        for name, title in zip(columns, table.columns, strict=True):
            value = float(plain(table.loc[str(row["method"]), title]))
            assert value == pytest.approx(row[name], abs=0.0005)
    by_class = markdown_table(text, 1).set_index("method")
    assert float(str(by_class.loc["ssd", "car"])) == pytest.approx(0.7 + 1 / 14 + 0.1, abs=0.0005)
    assert by_class.loc["ssd", "tram"] == "-"


def test_the_best_are_bold_and_the_second_italic() -> None:
    table = markdown_table(markdown(board_of(1)), 0).set_index("method")
    assert table["AP"].tolist() == ["**0.700**", "*0.333*"]
    assert table["ms"].tolist() == ["12.5", "12.5"]  # no difference
    assert "**bold** best of a column, *italic* second" in markdown(board_of(1))


def test_what_there_is_no_room_for_is_told() -> None:
    board = board_of(1)
    narrow, wide = markdown(board), markdown(board, View(wide=True))
    assert "- no room for " in narrow
    assert "AR@10" not in markdown_table(narrow, 0).columns
    assert "no room" not in wide
    assert {*board.metrics} <= {*markdown_table(wide, 0).columns}


def test_markdown_survives_a_bar_in_a_label() -> None:
    text = markdown(board_of(1))
    lines = [line.replace(r"\|", "") for line in text.splitlines() if line.startswith("|")]
    first = lines[: lines[1:].index(next(li for li in lines[1:] if set(li) <= set("|:-"))) + 1]
    assert len({line.count("|") for line in first}) == 1
    assert r"SSD \| größer" in text


def test_markdown_shows_names_as_they_are() -> None:
    text = markdown(hostile_board(), EVERYTHING)
    assert "\x1b" not in text
    assert "<img" not in text
    rendered = re.sub(r"\\([\\|`*\[])", r"\1", text).replace("&lt;", "<").replace("&amp;", "&")
    for name in HOSTILE:
        assert name.replace("\x1b", r"\x1b") in rendered
    assert r"!\[a](http://b) \`c\` \*d\* &amp; \\\|" in text
    lines = [re.sub(r"\\.", "", line) for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines[3:]} == {len(HOSTILE) + 2}


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("_background_", "\\_background\\_"),
        ("__x__", "\\_\\_x\\_\\_"),
        ("ta_fpn, AP_S", "ta_fpn, AP_S"),
        ("~old~", "\\~old\\~"),
    ],
)
def test_lines_around_a_word_are_no_emphasis(name: str, escaped: str) -> None:
    assert as_markdown(name) == escaped


def test_a_footnote_explains_the_minutes_beyond_one_training() -> None:
    runs = plan(tiny_suite(), "aaaa")
    extra = COST.model_copy(update={"extra_s": 60.0})
    board = leaderboard.build(runs, states_of(runs, [record_of(runs[0], cost=extra)]))
    note = "extra min: the share of train min spent beyond one training, on teachers and "
    note += "further stages"
    assert f"\n- {note}\n" in markdown(board, EVERYTHING)
    assert "extra min:" not in markdown(board, View(columns=("AP",)))
    alone = leaderboard.build(runs, states_of(runs, [record_of(runs[0])]))
    assert "extra min" not in markdown(alone, EVERYTHING)


def test_markdown_has_the_remarks_beneath() -> None:
    board = board_of(1)
    text = markdown(board)
    assert text.startswith("## tiny\n")
    assert text.endswith("\n")
    assert board.fairness
    for line in (*board.fairness, *remarks(board)):
        assert f"\n- {line}\n".replace("|", r"\|") in text
    assert "\n- a: own head: one 3x3 convolution" in text
    assert text.count("own head: ") == 1  # of the row that has a place in the table
    assert "\n- ssd seed 0: failed: no luck\n" in text
    assert "\n- data: synthetic aaaa\n" in text
    assert "by class" not in text


def test_a_partial_result_is_marked_above_the_table() -> None:
    runs = plan(tiny_suite(), "aaaa", 2, ["--limit 2"])
    board = leaderboard.build(runs, states_of(runs, [record_of(run) for run in runs]))
    told = "PARTIAL RESULT (--limit 2): not comparable with the full suite"
    assert markdown(board).startswith(f"## tiny\n\n**{told}**\n\n| ")
    assert markdown(board).count("PARTIAL") == 1
