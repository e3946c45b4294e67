"""What is chosen from trials, and when nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from sobench.compare.tuning import RowTuning, tune_rows, tuned_row
from sobench.runs.record import Record
from sobench.suite.grid import plan_trials, read_grid
from sobench.suite.overrides import Request
from sobench.suite.plan import Run
from tests.records import failed_record, record_of, states_of
from tests.tiny_suite import tiny_suite

GRID = ["schedule.lr=0.001,0.003,0.01"]


def trials(*grid: str, **changes: Any) -> list[Run]:
    suite = tiny_suite(**{"methods": ["fpn", "ssd"]} | changes)
    return plan_trials(Request(suite), read_grid(grid or GRID), 0.2, "aaaa")


def tuned(runs: list[Run], records: list[Record]) -> dict[str, RowTuning]:
    return {row.label: row for row in tune_rows(runs, states_of(runs, records))}


def by_rate(runs: list[Run], aps: dict[str, list[float | None]]) -> list[Record]:
    """Records with these scores by label and trial; later seeds are better, None diverged."""
    records = []
    rates = sorted({run.suite.schedule.lr for run in runs})
    for run in runs:
        ap = aps[run.entry.label][rates.index(run.suite.schedule.lr)]
        scored = None if ap is None else ap + run.seed / 100
        failed = failed_record(run, "diverged", "the loss is not finite")
        records.append(failed if scored is None else record_of(run, scored))
    return records


def test_the_best_mean_of_each_row_is_chosen() -> None:
    runs = trials(seeds=[0, 2])
    rows = tuned(runs, by_rate(runs, {"fpn": [0.1, 0.3, 0.2], "ssd": [0.2, 0.1, 0.2]}))
    assert rows["fpn"].metric == "AP"
    assert rows["fpn"].chosen is not None
    assert rows["fpn"].chosen.values == {"schedule.lr": 0.003}
    assert rows["fpn"].chosen.scores == pytest.approx((0.3, 0.32))
    assert rows["fpn"].chosen.score == pytest.approx(0.31)
    assert rows["fpn"].at_end == ()
    assert rows["ssd"].chosen is not None
    assert rows["ssd"].chosen.values == {"schedule.lr": 0.001}  # of equal ones the first
    assert rows["ssd"].at_end == ("schedule.lr",)
    assert [len(row.trials) for row in rows.values()] == [3, 3]


def test_a_trial_that_diverges_was_tried_and_loses() -> None:
    runs = trials(methods=["fpn"], seeds=[0, 1])
    records = by_rate(runs, {"fpn": [0.1, 0.2, 0.5]})
    bad = next(run for run in runs if run.suite.schedule.lr == 0.01 and run.seed == 1)
    records = [r for r in records if r.run_id != bad.id] + [failed_record(bad, "diverged")]
    row = tuned(runs, records)["fpn"]
    assert row.chosen is not None
    assert row.chosen.values == {"schedule.lr": 0.003}
    assert row.trials[2].scores == (0.5, None)
    assert tuned_row(row, runs, states_of(runs, records)).trials == row.trials


def test_nothing_is_chosen_where_nothing_can_be() -> None:
    runs = trials()
    rows = tuned(runs, by_rate(runs, {"fpn": [None] * 3, "ssd": [0.0, None, 0.0]}))
    assert (rows["fpn"].chosen, rows["ssd"].chosen) == (None, None)
    assert rows["fpn"].problem.startswith("every trial diverged")
    assert rows["ssd"].problem.startswith("no trial found an object")


def test_nothing_is_chosen_for_a_row_before_all_its_trials_are_done() -> None:
    runs = trials()
    records = by_rate(runs, {"fpn": [0.1, 0.2, 0.1], "ssd": [0.1, 0.2, 0.1]})
    broken = next(run for run in runs if run.entry.label == "ssd" and run.suite.schedule.lr == 0.01)
    records = [r for r in records if r.run_id != broken.id] + [failed_record(broken)]
    rows = tuned(runs, records)
    assert rows["fpn"].chosen is not None
    assert rows["ssd"].chosen is None
    assert rows["ssd"].problem == (
        "1 of 3 trainings are not done (ssd schedule.lr=0.01 seed 0 failed: no luck)"
    )
    assert [trial.values["schedule.lr"] for trial in rows["ssd"].undone] == [0.01]
    assert rows["fpn"].undone == ()


def test_of_several_keys_those_at_the_end_of_their_values_are_named() -> None:
    runs = trials(
        "schedule.lr=0.001,0.003,0.01", "schedule.weight_decay=0.1,0.2", "schedule.momentum=0.9",
        "augment.scale_jitter=null,[0.5, 2]", methods=["fpn"],
    )  # fmt: skip
    best = {"lr": 0.003, "weight_decay": 0.2}
    records = [
        record_of(run, 0.5 if run.suite.schedule.model_dump(include={*best}) == best else 0.1)
        for run in runs
    ]
    row = tuned(runs, records)["fpn"]
    assert len(row.trials) == 12
    assert row.at_end == ("schedule.weight_decay",)


def test_the_file_tells_on_what_the_choice_was_made() -> None:
    runs = trials(methods=["fpn"], seeds=[0, 1])
    records = by_rate(runs, {"fpn": [0.1, 0.3, 0.2]})
    (tuning,) = tune_rows(runs, states_of(runs, records))
    row = tuned_row(tuning, runs, states_of(runs, records))
    assert row.chosen == {"schedule.lr": 0.003}
    assert (row.trained_on, row.held_out, row.holdout) == (9, 3, 0.2)
    assert (row.seeds, row.data, row.code) == ((0, 1), "aaaa", "0.1.0 abcdef0123")
