"""Which columns of a leaderboard are shown, and in which order its rows stand."""

from __future__ import annotations

import pytest

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.errors import RequestError
from sobench.report.beneath import class_columns
from sobench.report.columns import Column, shown_columns
from sobench.report.order import ordered_by
from sobench.report.view import View
from sobench.suite.plan import plan
from tests.records import COST, record_of, scored, states_of
from tests.report.boards import board_of
from tests.tiny_suite import tiny_suite


def titles(columns: list[Column]) -> list[str]:
    return [column.title for column in columns]


def column(board: Leaderboard, name: str) -> Column:
    return next(c for c in shown_columns(board, View(columns=(name,)))[0] if c.name == name)


def test_the_usual_columns() -> None:
    shown, left_out = shown_columns(board_of(2), View())
    assert titles(shown)[:7] == ["tier", "method", "notes", "seeds", "AP", "±", "AP50"]
    assert titles(shown)[-5:] == ["params M", "GFLOPs", "ms", "img/s", "train min"]
    assert left_out == []
    cells = list(zip(*(c.cells for c in shown), strict=True))
    assert [row[:6] for row in cells] == [
        ("-", "SSD | größer", "a-c", "2", "0.771", "0.101"),
        ("-", "fpn", "", "2", "0.405", "0.101"),
    ]
    assert cells[0][-5:] == ("2.50", "1.25", "12.5", "40.0", "1.5")


def test_one_seed_needs_no_column_of_seeds_and_spreads() -> None:
    shown, _ = shown_columns(board_of(1), View())
    assert titles(shown)[:5] == ["tier", "method", "notes", "AP", "AP50"]


def test_undefined_values_are_dashes() -> None:
    runs = plan(tiny_suite(), "aaaa")
    board = leaderboard.build(runs, states_of(runs, [record_of(runs[0], None, cost=None)]))
    shown, _ = shown_columns(board, View())
    assert titles(shown) == ["tier", "method", *board.metrics]
    assert [c.cells for c in shown] == [("-",), ("fpn",), *[("-",)] * len(board.metrics)]
    assert class_columns(board) == (["method", "car", "bus", "tram"], [["fpn", "-", "-", "-"]])


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_what_does_not_fit_is_left_out_by_its_importance(width: int) -> None:
    board = board_of(2)
    shown, left_out = shown_columns(board, View(), width)
    assert sum(c.width for c in shown) + 2 * (len(shown) - 1) <= width
    assert {"tier", "method", "notes", "AP"} <= {*titles(shown)}
    assert [c for c in shown_columns(board, View())[0] if c in left_out] == left_out
    assert len(shown) + len(left_out) == len(shown_columns(board, View())[0])
    # The next in importance would not fit.
    first = min(left_out, key=lambda c: c.priority)
    better = [c for c in shown if c.priority < first.priority]
    assert sum(c.width + 2 for c in better) + first.width > width
    assert shown_columns(board, View(wide=True), width)[0] == shown_columns(board, View())[0]


def test_rows_of_other_numbers_of_seeds_are_told_at_any_width() -> None:
    runs = plan(tiny_suite(methods=["fpn", "pafpn"], seeds=[0, 1]), "aaaa")
    board = leaderboard.build(runs, states_of(runs, [record_of(run) for run in runs[:3]]))
    shown, _ = shown_columns(board, View(), 40)
    assert "seeds" in titles(shown)


def test_columns_by_name_and_by_heading() -> None:
    board = board_of(2)
    view = View(columns=("ap_s", "train min", "AP50_std", "GFLOPS", "ap_s"))
    shown, left_out = shown_columns(board, view, 20)
    assert titles(shown) == ["method", "AP_S", "train min", "AP50 ±", "GFLOPs"]
    assert left_out == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("AP_X", "did you mean 'AP_"), ("latency", "did you mean 'latency_ms'?"), ("??", " known: ")],
)
def test_an_unknown_column_is_refused(name: str, words: str) -> None:
    for refuse in (
        lambda: shown_columns(board_of(1), View(columns=(name,))),
        lambda: ordered_by(board_of(1), name),
    ):
        with pytest.raises(RequestError, match=r"^--(columns|sort): '") as refused:
            refuse()
        assert words in str(refused.value)


def test_rows_by_seed() -> None:
    shown, _ = shown_columns(board_of(2), View(by_seed=True))
    assert titles(shown)[:5] == ["method", "seed", "notes", "AP", "AP50"]
    assert shown[0].cells == ("SSD | größer", "SSD | größer", "fpn", "fpn")
    assert shown[1].cells == ("0", "1", "0", "1")
    assert shown[3].cells == ("0.700", "0.843", "0.333", "0.476")
    assert shown[3].places == ("second", "best", "", "")


def places(*aps: float | None) -> tuple[str, ...]:
    labels = [{"name": "fpn", "label": str(i)} for i in range(len(aps))]
    deviations = [{"schedule.lr": 1e-3 * (i + 1), "reason": "r"} for i in range(len(aps))]
    rows = [label | {"deviations": d} for label, d in zip(labels, deviations, strict=True)]
    runs = plan(tiny_suite(methods=rows), "aaaa")
    pairs = zip(runs, aps, strict=True)
    board = leaderboard.build(runs, states_of(runs, [record_of(run, ap) for run, ap in pairs]))
    return column(board, "AP").places


def test_places_are_of_what_is_printed() -> None:
    assert places(0.5, 0.4, 0.3) == ("best", "second", "")
    assert places(0.5, 0.4999, 0.3) == ("best", "best", "")
    assert places(0.5, 0.4, 0.4) == ("best", "second", "second")
    assert places(0.5, None, 0.0) == ("best", "second", "")
    assert places(0.5, 0.5) == ()
    assert places(0.5) == ()
    assert places(0.5, 0.4, 0.4, 0.4) == ("best", "", "", "")


def test_the_lowest_cost_is_best_unless_one_is_not_known() -> None:
    runs = plan(tiny_suite(methods=["fpn", "ssd"]), "aaaa")
    records = [
        record_of(run, 0.5, cost=COST.model_copy(update={"gflops": gflops, "latency_ms": ms}))
        for run, gflops, ms in zip(runs, (2.0, 1.0), (3.0, None), strict=True)
    ]
    board = leaderboard.build(runs, states_of(runs, records))
    assert column(board, "gflops").places == ("second", "best")
    assert column(board, "latency_ms").places == ()


def test_sorted_by_a_cost_a_metric_or_the_name() -> None:
    runs = plan(tiny_suite(methods=["ssd", "fpn", "pafpn"], seeds=[0]), "aaaa")
    gflops = {"ssd": 3.0, "fpn": 1.0, "pafpn": None}
    small = {"ssd": 0.1, "fpn": None, "pafpn": 0.3}
    records = [
        record_of(
            run,
            cost=COST.model_copy(update={"gflops": gflops[run.entry.name]}),
            scored=scored(0.5, metrics={"AP": 0.5, "AP_S": small[run.entry.name]}),
        )
        for run in runs
    ]
    board = leaderboard.build(runs, states_of(runs, records))

    def order(name: str) -> list[str]:
        found = ordered_by(board, name)
        orders = [found.rows, found.run_rows, found.class_rows]
        labels = [[row["method"] for row in rows] for rows in orders]
        assert labels[0] == labels[1] == labels[2]
        return labels[0]

    assert order("GFLOPs") == ["fpn", "ssd", "pafpn"]
    assert order("ap_s") == ["pafpn", "ssd", "fpn"]
    assert order("method") == ["fpn", "pafpn", "ssd"]


def test_seeds_without_a_result_are_seen_in_the_row() -> None:
    runs = plan(tiny_suite(methods=["fpn", "ssd"], seeds=[0, 1]), "aaaa")
    records = [record_of(run, 0.4 + run.seed / 10) for run in runs if run.name != "ssd seed 1"]
    board = leaderboard.build(runs, states_of(runs, records))
    seeds = next(column for column in shown_columns(board, View())[0] if column.name == "seeds")
    assert seeds.cells == ("2", "1/2")
    assert seeds.footnote == "with a result, of those asked for"
    whole = leaderboard.build(runs, states_of(runs, [record_of(run) for run in runs]))
    seeds = next(column for column in shown_columns(whole, View())[0] if column.name == "seeds")
    assert (seeds.cells, seeds.footnote) == (("2", "2"), "")
