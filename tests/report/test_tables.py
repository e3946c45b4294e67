from __future__ import annotations

import io
import json
import re
from typing import Any

import pandas as pd
import pytest

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.report.tables import (
    FORMATS,
    as_json,
    class_columns,
    columns,
    csv,
    footnotes,
    markdown,
    remarks,
)
from sobench.suite.plan import plan
from tests.records import COST, failed_record, record_of, scored, states_of
from tests.tiny_suite import tiny_suite


def board_of(seeds: int, **changes: Any) -> Leaderboard:
    """Two methods that have all seeds, one that has none, one without scores."""
    rows = ["fpn", {"name": "ssd", "label": "SSD | größer"}, {"name": "ssd", "anchors": "paper"}]
    labels = ["fpn", "SSD | größer", "ssd"]
    aps = dict(zip(labels, (1 / 3, 0.7, None), strict=True))
    suite = tiny_suite(**{"methods": rows, "seeds": list(range(seeds))} | changes)
    runs = plan(suite, "aaaa")
    records = [
        failed_record(run)
        if (ap := aps[run.entry.label]) is None
        else record_of(run, ap + run.seed / 7)
        for run in runs
    ]
    return leaderboard.build(runs, states_of(runs, records))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def markdown_table(text: str, number: int) -> pd.DataFrame:
    """The pipe table of this number, read back as text."""
    blocks = [b for b in text.split("\n\n") if b.startswith("|")]
    headings, rule, *rows = blocks[number].splitlines()
    assert set(rule) <= set("|:-")
    return pd.DataFrame([cells(line) for line in rows], columns=cells(headings))


def test_columns() -> None:
    board = board_of(2)
    headings, rows = columns(board)
    assert headings[:5] == ["tier", "method", "seeds", "AP", "AP50"]
    assert headings[-5:] == ["params M", "GFLOPs", "ms", "img/s", "train min"]
    assert [row[:4] for row in rows] == [
        ["-", "SSD | größer", "2", "0.771 ±0.101"],
        ["-", "fpn", "2", "0.405 ±0.101"],
    ]
    assert rows[0][-5:] == ["2.50", "1.25", "12.5", "40.0", "1.5"]


def test_undefined_values_are_dashes() -> None:
    runs = plan(tiny_suite(), "aaaa")
    board = leaderboard.build(runs, states_of(runs, [record_of(runs[0], None, cost=None)]))
    headings, rows = columns(board)
    assert headings == ["tier", "method", *board.metrics]
    assert rows == [["-", "fpn", *["-"] * len(board.metrics)]]
    assert class_columns(board) == (["method", "car", "bus", "tram"], [["fpn", "-", "-", "-"]])


def test_markdown_reads_back() -> None:
    runs = plan(tiny_suite(methods=["fpn", "ssd"], seeds=[0, 1]), "aaaa")
    aps = {"fpn": 1 / 3, "ssd": 0.7}
    records = [record_of(run, aps[run.entry.name] + run.seed / 7) for run in runs]
    board = leaderboard.build(runs, states_of(runs, records))
    table = markdown_table(markdown(board), 0).set_index("method")
    assert table.index.tolist() == ["ssd", "fpn"]
    for _, row in board.table.iterrows():
        for name in board.metrics:
            value, spread = str(table.loc[str(row["method"]), name]).split(" ±")
            assert float(value) == pytest.approx(row[name], abs=0.0005)
            assert float(spread) == pytest.approx(row[f"{name}_std"], abs=0.0005)
    by_class = markdown_table(markdown(board), 1).set_index("method")
    assert float(str(by_class.loc["ssd", "car"])) == pytest.approx(0.7 + 1 / 14 + 0.1, abs=0.0005)
    assert by_class.loc["ssd", "tram"] == "-"


def test_markdown_survives_a_bar_in_a_label() -> None:
    text = markdown(board_of(1))
    lines = [line.replace(r"\|", "") for line in text.splitlines() if line.startswith("|")]
    first = lines[: lines[1:].index(next(li for li in lines[1:] if set(li) <= set("|:-"))) + 1]
    assert len({line.count("|") for line in first}) == 1
    assert r"SSD \| größer" in text


HOSTILE = ("=1+1", "@SUM(A1)", "-[/x] \x1b[2J", "<img src=x>", "![a](http://b) `c` *d* & \\|")


def hostile_board() -> Leaderboard:
    """Classes of names that somebody made up; labels with control characters are refused."""
    runs = plan(tiny_suite(methods=[{"name": "fpn", "label": "=cmd|' /C calc'!A0"}]), "aaaa")
    names = {name: {"AP": 0.1} for name in HOSTILE}
    return leaderboard.build(
        runs, states_of(runs, [record_of(runs[0], scored=scored(0.4, per_class=names))])
    )


def test_markdown_shows_names_as_they_are() -> None:
    text = markdown(hostile_board())
    assert "\x1b" not in text
    assert "<img" not in text
    rendered = re.sub(r"\\([\\|`*\[])", r"\1", text).replace("&lt;", "<").replace("&amp;", "&")
    for name in HOSTILE:
        assert name.replace("\x1b", r"\x1b") in rendered
    assert r"!\[a](http://b) \`c\` \*d\* &amp; \\\|" in text
    lines = [re.sub(r"\\.", "", line) for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines[3:]} == {len(HOSTILE) + 2}


def test_csv_runs_no_formula() -> None:
    text = csv(hostile_board())
    assert "\x1b" not in text
    table = pd.read_csv(io.StringIO(text))
    assert table["method"].tolist() == ["'=cmd|' /C calc'!A0"]
    assert table["AP"].tolist() == [0.4]
    assert {f"AP:{name}".replace("\x1b", r"\x1b") for name in HOSTILE} <= set(table.columns)


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_cells_that_a_spreadsheet_would_run_are_quoted(first: str) -> None:
    board = hostile_board()
    board.table["method"] = f"{first}1"
    board.per_class["method"] = f"{first}1"
    (cell,) = pd.read_csv(io.StringIO(csv(board)))["method"]
    assert cell == "'" + {"\t": r"\t", "\r": r"\r"}.get(first, first) + "1"


def test_a_footnote_explains_the_minutes_beyond_one_training() -> None:
    runs = plan(tiny_suite(), "aaaa")
    extra = COST.model_copy(update={"extra_s": 60.0})
    board = leaderboard.build(runs, states_of(runs, [record_of(runs[0], cost=extra)]))
    note = "extra min: the share of train min spent beyond one training, on teachers and "
    note += "further stages"
    assert footnotes(board)[-1] == note
    assert f"\n\n{note}\n\nAP by class:\n" in markdown(board)
    plain = leaderboard.build(runs, states_of(runs, [record_of(runs[0])]))
    assert footnotes(plain) == list(plain.fairness)
    assert "extra min" not in markdown(plain)


def test_markdown_has_the_remarks_beneath() -> None:
    board = board_of(1)
    text = markdown(board)
    assert text.startswith("## tiny\n")
    assert text.endswith("\n")
    assert board.fairness
    for line in board.fairness:
        assert f"\n\n{line}\n\n".replace("|", r"\|") in text
    for line in remarks(board):
        assert f"\n- {line}\n".replace("|", r"\|") in text
    assert "\n- SSD \\| größer deviates: own head: " in text
    assert "\n- ssd deviates" not in text  # it has no place in the table
    assert "\n- ssd seed 0: failed: no luck\n" in text
    assert "\n- data: synthetic aaaa\n" in text


@pytest.mark.parametrize("seeds", [1, 3])
def test_csv_reads_back(seeds: int) -> None:
    board = board_of(seeds)
    table = pd.read_csv(io.StringIO(csv(board)))
    for name in ("method", "seeds", "AP", "AP_std", "AP_S", "AR@100", "params_m"):
        built = board.table[name].astype(table[name].dtype)
        pd.testing.assert_series_equal(table[name], built, rtol=1e-12)
    assert table["AP:car"].tolist() == pytest.approx(board.per_class["car"].tolist())
    assert table["AP:tram"].isna().all()
    assert table["provenance:engine"].tolist() == ["hotcoco 1.0"] * 2
    assert table["provenance:data"].tolist() == ["synthetic aaaa"] * 2


@pytest.mark.parametrize("seeds", [1, 3])
def test_json_reads_back(seeds: int) -> None:
    board = board_of(seeds)
    content = json.loads(as_json(board))
    assert content["title"] == "tiny"
    assert content["metrics"] == list(board.metrics)
    assert [row["method"] for row in content["rows"]] == ["SSD | größer", "fpn"]
    for read, (_, built) in zip(content["rows"], board.table.iterrows(), strict=True):
        assert read.keys() == set(board.table.columns)
        assert (read["tier"], read["seeds"]) == (built["tier"], seeds)
        assert read["AP"] == built["AP"]
        assert read["AP_std"] == (None if seeds == 1 else built["AP_std"])
    assert content["per_class_ap"][0]["tram"] is None
    assert content["fairness"] == list(board.fairness)
    assert content["missing"] == board.missing
    assert content["provenance"] == board.provenance
    assert content["notes"] == list(board.notes)
    assert content["deviations"]["ssd"] == list(board.deviations["ssd"])


def test_formats_are_named_by_their_suffix() -> None:
    assert {name: suffix for name, (suffix, _) in FORMATS.items()} == {
        "md": "md",
        "csv": "csv",
        "json": "json",
    }
