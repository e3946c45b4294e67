"""Leaderboards whose rows were tested: tiers, intervals and pairs in every format."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from sobench.compare.leaderboard import Leaderboard, leaderboard
from sobench.compare.tiers import RULE
from sobench.report.beneath import footnotes
from sobench.report.columns import shown_columns
from sobench.report.leaderboard import print_leaderboard
from sobench.report.markdown import markdown
from sobench.report.values import as_json, csv
from sobench.report.view import View
from sobench.suite.plan import plan
from tests.compare.matched_runs import keep_runs
from tests.tiny_suite import tiny_suite

QUALITY = {"ssd": 1.6, "fpn": 0.0, "pafpn": 0.0}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    results = tmp_path_factory.mktemp("results")
    runs = plan(tiny_suite(methods=list(QUALITY), seeds=[0, 1]), "aaaa")
    keep_runs(runs, results, QUALITY)
    return leaderboard(runs, results)


def test_the_interval_stands_behind_the_metric_that_ranks(board: Leaderboard) -> None:
    shown, _ = shown_columns(board, View())
    columns = ["tier", "method", "notes", "seeds", "AP", "±", "95 % interval", "AP50"]
    assert [column.title for column in shown[:8]] == columns
    tier, method, _, seeds, ap, spread, interval, *_ = (column.cells for column in shown)
    assert tier == ("1", "2", "2")
    assert method == ("ssd", *board.verdict.labels[1:])
    assert seeds == ("2",) * 3
    found = board.verdict.estimates["ssd"]["AP"]
    assert (ap[0], spread[0]) == (f"{found.mean:.3f}", f"{found.std:.3f}")
    assert interval[0] == f"[{found.low:.3f}, {found.high:.3f}]"


def test_the_rule_stands_beneath_the_table(board: Leaderboard) -> None:
    shown, _ = shown_columns(board, View())
    rule = footnotes(board, shown)[0]
    assert rule == RULE.format(metric="AP")
    target = io.StringIO()
    print_leaderboard(board, Console(file=target, width=200, force_terminal=False))
    lines = [line.rstrip() for line in target.getvalue().splitlines()]
    assert lines.index("* best of a column, + second") < lines.index(rule)
    assert f"\n- {rule}\n" in markdown(board)


def test_csv(board: Leaderboard) -> None:
    table = pd.read_csv(io.StringIO(csv(board))).set_index("method")
    assert table["tier"].to_dict() == {"ssd": 1, "fpn": 2, "pafpn": 2}
    for label, of_row in board.verdict.estimates.items():
        for name in ("AP", "AP_S", "AP:class 1"):
            for key in ("low", "high", "se"):
                assert table.loc[label, f"{name}_{key}"] == pytest.approx(
                    getattr(of_row[name], key)
                )
    pair = board.verdict.pairs["ssd", "fpn"]["AP"]
    assert table.loc["fpn", "difference:ssd"] == pytest.approx(-pair.mean)
    assert table.loc["ssd", "p:fpn"] == pytest.approx(pair.adjusted)
    assert table["p:ssd"].isna().to_dict() == {"ssd": True, "fpn": False, "pafpn": False}


def test_json(board: Leaderboard) -> None:
    content = json.loads(as_json(board))
    assert content["tiers"] == {"ssd": [1], "fpn": [2], "pafpn": [2]}
    assert [row["tier"] for row in content["rows"]] == ["1", "2", "2"]
    assert content["rule"] == list(board.verdict.rule)
    found = board.verdict.estimates["fpn"]["AP50:class 0"]
    assert content["intervals"]["fpn"]["AP50:class 0"]["low"] == found.low
    first, *_, last = content["pairs"]
    assert len(content["pairs"]) == 3
    assert first["first"] == "ssd"
    assert {last["first"], last["second"]} == {"fpn", "pafpn"}
    pair = board.verdict.pairs[first["first"], first["second"]]
    for name in ("AP", "AR_S", "AR:class 1"):
        values = first["metrics"][name]
        assert values["adjusted"] == pair[name].adjusted
        assert (values["mean"], values["low"]) == (pair[name].mean, pair[name].low)
