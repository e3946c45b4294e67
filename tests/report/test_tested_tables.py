"""Leaderboards whose rows were tested: tiers, intervals and pairs in every format."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from sobench.compare.leaderboard import Leaderboard, leaderboard
from sobench.compare.tiers import RULE
from sobench.report.tables import as_json, columns, csv, footnotes, markdown
from sobench.report.terminal import print_leaderboard
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
    headings, rows = columns(board)
    assert headings[:6] == ["tier", "method", "seeds", "AP", "95 % interval", "AP50"]
    assert [row[:3] for row in rows] == [
        [*tier_and_label, "2"]
        for tier_and_label in (("1", "ssd"), *(("2", label) for label in board.verdict.labels[1:]))
    ]
    found = board.verdict.estimates["ssd"]["AP"]
    assert rows[0][3] == f"{found.mean:.3f} ±{found.std:.3f}"
    assert rows[0][4] == f"[{found.low:.3f}, {found.high:.3f}]"


def test_the_rule_stands_beneath_the_table(board: Leaderboard) -> None:
    assert footnotes(board)[0] == RULE.format(metric="AP")
    target = io.StringIO()
    print_leaderboard(board, Console(file=target, width=100, force_terminal=False))
    lines = [line.rstrip() for line in target.getvalue().splitlines()]
    assert lines.index(footnotes(board)[0]) < lines.index("AP by class")
    assert f"\n\n{footnotes(board)[0]}\n\n" in markdown(board)


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
