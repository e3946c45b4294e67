from __future__ import annotations

import io
import json
from dataclasses import replace

import pandas as pd
import pytest

from sobench.compare import leaderboard
from sobench.report.values import as_json, csv
from sobench.report.view import View
from sobench.suite.plan import plan
from tests.records import record_of, states_of
from tests.report.boards import HOSTILE, board_of, hostile_board
from tests.tiny_suite import tiny_suite


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
    (row,) = board.rows
    (of_classes,) = board.class_rows
    name = {"method": f"{first}1"}
    board = replace(board, rows=(row | name,), class_rows=(of_classes | name,))
    (cell,) = pd.read_csv(io.StringIO(csv(board)))["method"]
    assert cell == "'" + {"\t": r"\t", "\r": r"\r"}.get(first, first) + "1"


@pytest.mark.parametrize("seeds", [1, 3])
def test_csv_reads_back(seeds: int) -> None:
    board = board_of(seeds)
    table = pd.read_csv(io.StringIO(csv(board)))
    for name in ("method", "seeds", "AP", "AP_std", "AP_S", "AR@100", "params_m"):
        built = pd.Series([row[name] for row in board.rows], name=name, dtype=table[name].dtype)
        pd.testing.assert_series_equal(table[name], built, rtol=0)
    assert table["AP:car"].tolist() == [row["car"] for row in board.class_rows]
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
    for read, built in zip(content["rows"], board.rows, strict=True):
        assert read.keys() == built.keys()
        assert (read["tier"], read["seeds"]) == (built["tier"], seeds)
        assert read["AP"] == built["AP"]
        assert read["AP_std"] == (None if seeds == 1 else built["AP_std"])
    assert content["per_class_ap"][0]["tram"] is None
    assert content["fairness"] == list(board.fairness)
    assert content["missing"] == board.missing
    assert content["provenance"] == board.provenance
    assert content["notes"] == list(board.notes)
    assert content["deviations"]["ssd"] == list(board.deviations["ssd"])

    assert [run["state"] for run in content["runs"]] == ["done"] * 2 * seeds + ["failed"] * seeds


def test_csv_by_seed_has_a_row_for_every_run() -> None:
    board = board_of(2)
    table = pd.read_csv(io.StringIO(csv(board, View(by_seed=True))))
    assert table["method"].tolist() == ["SSD | größer"] * 2 + ["fpn"] * 2 + ["ssd"] * 2
    assert table["seed"].tolist() == [0, 1] * 3
    assert table["AP"].tolist()[:4] == [0.7, 0.7 + 1 / 7, 1 / 3, 1 / 3 + 1 / 7]
    assert table["AP"].isna().tolist() == [False] * 4 + [True] * 2
    assert table["reason"].tolist()[4:] == ["no luck"] * 2
    assert table["params_m"].tolist()[:4] == [2.5] * 4


def test_partial_results_and_missing_runs_are_marked_in_files() -> None:
    suite = tiny_suite(methods=["fpn", "ssd"], seeds=[0, 1])
    runs = plan(suite, "aaaa", 2, ["--limit 2"])
    board = leaderboard.build(runs, states_of(runs, [record_of(run) for run in runs[:3]]))
    content = json.loads(as_json(board))
    assert content["partial"] == ["--limit 2"]
    assert content["missing"] == {"ssd seed 1": "not run yet"}
    for view in (View(), View(by_seed=True)):
        table = pd.read_csv(io.StringIO(csv(board, view)))
        assert set(table["partial"]) == {"with --limit 2"}
    table = pd.read_csv(io.StringIO(csv(board))).set_index("method")
    assert table["missing"].dropna().to_dict() == {"ssd": "seed 1: not run yet"}
    assert "partial" in table.columns
    whole = pd.read_csv(io.StringIO(csv(board_of(1))))
    assert whole["partial"].isna().all()
