from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sobench.compare.leaderboard import Leaderboard, build
from sobench.compare.several import common_rows, rank_suites
from sobench.errors import NothingToCompare, RequestError
from sobench.suite.plan import Run, plan
from tests.records import record_of, scored, states_of
from tests.tiny_suite import tiny_suite

ROWS = ["fpn", "ssd", "pafpn"]


def runs_of(name: str, methods: Sequence[Any] = ROWS, **changes: Any) -> list[Run]:
    return plan(tiny_suite(name=name, methods=list(methods), **changes), f"data of {name}")


def board(runs: Sequence[Run], *aps: float | None) -> Leaderboard:
    """The leaderboard of runs with these AP; ``-1`` is a run without a result."""
    records = [record_of(r, ap) for r, ap in zip(runs, aps, strict=True) if ap != -1]
    return build(runs, states_of(runs, records))


def test_rows_of_one_label_are_common_if_they_are_the_same() -> None:
    slow = {"schedule.lr": 0.001, "reason": "it diverges"}
    first = [
        "fpn", "ssd", "libra",
        {"name": "ssd", "label": "slow", "deviations": slow},
        {"name": "fpn", "label": "same", "deviations": slow},
        {"name": "fpn", "label": "fine", "first_level": 2},
    ]  # fmt: skip
    second = [
        "ssd", "fpn", "mrae",
        {"name": "ssd", "label": "slow", "deviations": slow | {"schedule.lr": 0.002}},
        {"name": "fpn", "label": "same", "deviations": slow | {"reason": "another reason"}},
        {"name": "nas_fpn", "label": "fine", "stack": 2},
    ]  # fmt: skip
    common, left_out = common_rows([runs_of("a", first), runs_of("b", second)])
    assert common == ["fpn", "ssd", "same"]
    assert left_out == {
        "libra": "not a row of b",
        "slow": "deviation schedule.lr: 0.001 in a, 0.002 in b",
        "fine": "method: fpn in a, nas_fpn in b",
        "mrae": "not a row of a",
    }
    with pytest.raises(RequestError, match="only 'fpn' is a row of all of these suites"):
        common_rows([runs_of("a", ["fpn", "ssd"]), runs_of("b", ["fpn", "pafpn"])])
    with pytest.raises(
        RequestError, match=r"no row is one of all of these suites.*; not a row of b: ssd; not"
    ):
        common_rows([runs_of("a", ["ssd"]), runs_of("b", ["fpn"])])


def test_a_switch_makes_another_row() -> None:
    plans = [
        runs_of("a", ["fpn", "ssd", {"name": "nas_fpn", "stack": 2}]),
        runs_of("b", ["fpn", "ssd", {"name": "nas_fpn", "stack": 3}]),
    ]
    assert common_rows(plans)[1] == {"nas_fpn": "switch stack: 2 in a, 3 in b"}


def test_ranks_over_suites() -> None:
    plans = [runs_of(name) for name in ("a", "b", "c")]
    boards = [board(plans[0], 0.3, 0.2, 0.1), board(plans[1], 0.3, 0.3, 0.1)]
    boards.append(board(plans[2], 0.2, 0.3, 0.1))
    (table,) = rank_suites(plans, boards).tables
    assert table.metric == "AP"
    assert dict(zip(table.ranks.rows, table.ranks.average, strict=True)) == {
        "fpn": 4.5 / 3, "ssd": 4.5 / 3, "pafpn": 3
    }  # fmt: skip
    assert table.ranks.datasets == ("a", "b", "c")


def test_rows_and_suites_without_a_number_are_left_out_and_told() -> None:
    plans = [runs_of(name) for name in ("a", "b", "c")]
    boards = [board(plans[0], 0.3, 0.2, 0.1), board(plans[1], 0.2, 0.3, -1)]
    boards.append(board(plans[2], None, None, None))
    (table,) = rank_suites(plans, boards).tables
    assert table.ranks.rows == ("fpn", "ssd")
    assert table.ranks.datasets == ("a", "b")
    assert table.left_out == {"c": "AP is undefined for every row", "pafpn": "no AP in b"}
    with pytest.raises(NothingToCompare, match="AP: average ranks need two rows"):
        rank_suites(plans[1:], boards[1:])


def test_other_metrics_rank_otherwise() -> None:
    plans = [runs_of(name, ["fpn", "ssd"]) for name in ("a", "b")]
    boards = []
    for runs in plans:
        small = [scored(0.3), scored(0.2)]
        small[1] = small[1].model_copy(update={"metrics": small[1].metrics | {"AP_S": 0.9}})
        records = [record_of(r, scored=s) for r, s in zip(runs, small, strict=True)]
        boards.append(build(runs, states_of(runs, records)))
    ap, small_ap = rank_suites(plans, boards, ["AP", "AP_S"]).tables
    assert ap.ranks.rows == ("fpn", "ssd")
    assert small_ap.ranks.rows == ("ssd", "fpn")
    with pytest.raises(RequestError, match="--metric: 'AP_XS' is not a metric of a, b; did you"):
        rank_suites(plans, boards, ["AP_XS"])


def test_what_makes_ranks_doubtful_is_told() -> None:
    same = [plan(tiny_suite(name=name, methods=ROWS), "one fingerprint") for name in ("a", "b")]
    notes = rank_suites(same, [board(runs, 0.3, 0.2, 0.1) for runs in same]).notes
    assert notes == (
        "a and b are on the same data: they are one data set and count as 2, so that differences "
        "look surer than they are",
    )
    plans = [
        runs_of("a"),
        runs_of("b", protocol="visdrone-coco", detect={"max_detections": 500}),
        runs_of("c", protocol="tiny"),
    ]
    boards = [board(runs, 0.3, 0.2, 0.1) for runs in plans]
    (note,) = rank_suites(plans, boards, ["AP_S"]).notes
    assert note == (
        "AP_S is not the same in all suites: 100 detections, 0 to 32 px in a, 500 detections, "
        "0 to 32 px in b, 100 detections, 10 to 16 px in c"
    )
    with pytest.raises(RequestError, match="'AP_L' is not a metric of c"):
        rank_suites(plans, boards, ["AP_L"])
