from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.errors import NothingToCompare, RequestError
from sobench.report.columns import shown_columns
from sobench.report.view import View
from sobench.runs import record
from sobench.runs.record import Record
from sobench.runs.state import read_records
from sobench.suite.methods import get_method
from sobench.suite.plan import Run, plan
from tests.records import COST, ENVIRONMENT, failed_record, metrics_of, record_of, scored, states_of
from tests.tiny_suite import tiny_suite

ROWS: list[Any] = ["fpn", "ssd", {"name": "fpn", "label": "plain", "fuse": False}]


def runs_of(seeds: list[int], data: str = "aaaa", **changes: Any) -> dict[tuple[str, int], Run]:
    suite = tiny_suite(**{"methods": ROWS, "seeds": seeds, "title": "Tiny things"} | changes)
    return {(run.entry.label, run.seed): run for run in plan(suite, data)}


def board_of(runs: dict[tuple[str, int], Run], records: list[Record]) -> Leaderboard:
    return leaderboard.build(list(runs.values()), states_of(runs.values(), records))


def row(board: Leaderboard, label: str) -> dict[str, Any]:
    rows = board.table.set_index("method").to_dict(orient="index")
    return {str(key): value for key, value in rows[label].items()}


def test_mean_and_spread_over_seeds() -> None:
    runs = runs_of([0, 1, 2])
    aps = {"fpn": (0.3, 0.4, 0.5), "ssd": (0.2, 0.2, 0.2), "plain": (0.45, 0.45, 0.48)}
    records = [record_of(run, aps[label][seed]) for (label, seed), run in runs.items()]
    board = board_of(runs, records)
    assert board.table["method"].tolist() == ["plain", "fpn", "ssd"]
    assert board.table["tier"].tolist() == [None] * 3  # nothing to resample
    assert board.table["seeds"].tolist() == [3, 3, 3]
    fpn, ssd = row(board, "fpn"), row(board, "ssd")
    assert fpn["AP"] == pytest.approx(0.4)
    assert fpn["AP_std"] == pytest.approx(0.1)  # of a sample: n - 1
    assert fpn["AP50"] == pytest.approx(0.401)
    assert ssd["AP_std"] == pytest.approx(0)
    assert board.missing == {}
    assert not any("seed" in note for note in board.notes)


def test_metrics_are_the_protocols() -> None:
    runs = runs_of([0], protocol="aitod", detect={"max_detections": 1500})
    board = board_of(runs, [record_of(run) for run in runs.values()])
    assert board.metrics == tuple(metrics_of("aitod", None))
    assert board.metrics[:4] == ("AP", "AP50", "AP75", "AP_VT")


def test_one_seed_has_no_spread() -> None:
    runs = runs_of([0])
    board = board_of(runs, [record_of(run) for run in runs.values()])
    assert board.table["AP_std"].isna().all()


def test_what_training_took_and_how_much_of_it_was_extra() -> None:
    runs = runs_of([0])
    teacher_features = COST.model_copy(
        update={"train_s": 60.0, "required_s": 90.0, "extra_s": 90.0}
    )
    records = [
        record_of(run, cost=teacher_features if label == "plain" else COST)
        for (label, _), run in runs.items()
    ]
    board = board_of(runs, records)
    assert row(board, "plain")["train_min"] == 2.5
    assert row(board, "plain")["extra_min"] == 1.5
    assert board.table.set_index("method")["extra_min"].isna().to_dict()["fpn"]
    *_, train, extra = shown_columns(board, View())[0]
    assert (train.title, extra.title) == ("train min", "extra min")
    labels = [row["method"] for row in board.rows]
    cells = dict(zip(labels, extra.cells, strict=True))
    assert cells == {"plain": "1.5", "fpn": "-", "ssd": "-"}
    alone = board_of(runs, [record_of(run) for run in runs.values()])
    assert "extra_min" not in [column.name for column in shown_columns(alone, View())[0]]


def test_costs() -> None:
    runs = runs_of([0, 1, 2])
    slow = {0: 10.0, 1: 30.0, 2: 12.0}
    records = [
        record_of(run, cost=COST.model_copy(update={"latency_ms": slow[seed]}))
        for (_, seed), run in runs.items()
    ]
    costs = row(board_of(runs, records), "fpn")
    assert costs["params_m"] == 2.5
    assert costs["gflops"] == 1.25
    assert costs["latency_ms"] == 12  # the median
    assert costs["train_img_s"] == 40
    assert costs["train_min"] == 1.5


def test_what_is_undefined_ranks_last_and_is_left_out_of_means() -> None:
    runs = runs_of([0, 1])
    aps = {"fpn": (None, None), "ssd": (0.0, 0.0), "plain": (0.2, None)}
    records = [record_of(run, aps[label][seed]) for (label, seed), run in runs.items()]
    board = board_of(runs, records)
    assert board.table["method"].tolist() == ["plain", "ssd", "fpn"]
    assert row(board, "plain")["AP"] == pytest.approx(0.2)
    assert board.table["AP"].isna().tolist() == [False, False, True]


def test_per_class() -> None:
    runs = runs_of([0, 1])
    aps = {"fpn": (0.3, 0.5), "ssd": (0.6, 0.8), "plain": (0.2, 0.2)}
    board = board_of(runs, [record_of(run, aps[m][s]) for (m, s), run in runs.items()])
    table = board.per_class
    assert list(table.columns) == ["method", "car", "bus", "tram"]
    assert table["method"].tolist() == ["ssd", "fpn", "plain"]
    assert table["car"].tolist() == pytest.approx([0.8, 0.5, 0.3])
    assert table["bus"].tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert table["tram"].isna().all()


def test_missing_rows_have_their_reason() -> None:
    runs = runs_of([0, 1])
    records = [
        record_of(runs["fpn", 0]),
        failed_record(runs["fpn", 1], "diverged", "the loss is not finite at step 3"),
        failed_record(runs["ssd", 0], "failed", "out of memory"),
        record_of(runs["plain", 0], scored=scored(0.4, "tiny")),
        record_of(runs["plain", 1], scored=scored(0.4, protocol_version=0)),
    ]
    board = board_of(runs, records)
    assert board.table["method"].tolist() == ["fpn"]
    again = "; `sobench run` scores it again, without training"
    assert board.missing == {
        "fpn seed 1": "diverged: the loss is not finite at step 3",
        "ssd seed 0": "failed: out of memory",
        "ssd seed 1": "not run yet",
        "plain seed 0": "scored by tiny v1 hotcoco, not by coco v1 hotcoco" + again,
        "plain seed 1": "scored by coco v0 hotcoco, not by coco v1 hotcoco" + again,
    }


def test_nothing_to_compare() -> None:
    runs = runs_of([0])
    with pytest.raises(NothingToCompare) as empty:
        board_of(runs, [])
    assert str(empty.value) == "tiny: 3 not run yet; `sobench run` goes on"
    outcomes = [
        failed_record(runs["fpn", 0], reason="first"),
        failed_record(runs["ssd", 0], reason="second"),
        record_of(runs["plain", 0], scored=scored(0.4, "tiny")),
    ]
    with pytest.raises(NothingToCompare) as empty:
        board_of(runs, outcomes)
    assert str(empty.value) == (
        "tiny: 2 failed (fpn seed 0: first); 1 to score (plain seed 0: scored "
        "by tiny v1 hotcoco, not by coco v1 hotcoco); `sobench run` goes on"
    )


def test_deviations_and_provenance() -> None:
    deviating = {"name": "fpn", "deviations": {"schedule.lr": 0.5, "reason": "its paper does"}}
    runs = runs_of([3, 1], methods=[deviating, "ssd"])
    board = board_of(runs, [record_of(run) for run in runs.values()])
    assert board.title == "Tiny things"
    assert board.deviations == {
        "fpn": ("schedule.lr: 0.5 (its paper does)",),
        "ssd": get_method("ssd").deviating(runs["ssd", 3].entry.switches, runs["ssd", 3].suite),
    }
    assert board.provenance == {
        "protocol": "coco v1 (COCO AP and AR, 100 detections)",
        "engine": "hotcoco 1.0",
        "data": "synthetic aaaa",
        "images": "9 train, 3 val",
        "seeds": "1, 3",
        "code": "sobench 0.1.0 abcdef0123",
        "libraries": "torch 2.0",
        "device": "some processor, 2 cores",
    }


def test_mixed_provenance_is_noted() -> None:
    runs = runs_of([0])
    other = ENVIRONMENT.model_copy(update={"device": "another", "code": "0.2.0"})
    records = [record_of(run) for run in runs.values()]
    records[0] = record_of(runs["fpn", 0], environment=other)
    board = board_of(runs, records)
    assert "several devices: latency and speed do not compare" in board.notes
    assert "several versions of the code: see provenance" in board.notes
    assert board.provenance["device"] == "another / some processor, 2 cores"


def test_partial_results_are_marked() -> None:
    suite = tiny_suite(methods=ROWS)
    runs = plan(suite, "aaaa", 2, ["--limit 2"])
    board = leaderboard.build(runs, states_of(runs, [record_of(run) for run in runs]))
    assert board.notes[0] == ("PARTIAL RESULT (--limit 2): not comparable with the full suite")


def test_record_without_costs_images_and_environment() -> None:
    runs = runs_of([0])
    bare: dict[str, Any] = {"cost": None, "images": {}, "environment": None}
    records = [record_of(run, **bare if m == "fpn" else {}) for (m, _), run in runs.items()]
    board = board_of(runs, records)
    assert board.table["params_m"].isna().sum() == 1
    assert board.provenance["images"] == "9 train, 3 val"


def test_labels_are_the_suites_of_today() -> None:
    before = runs_of([0], methods=["fpn", {"name": "fpn", "label": "plain", "fuse": False}])
    records = [record_of(run) for run in before.values()]
    names = ["plain", "fused"]
    swapped = runs_of(
        [0],
        methods=[
            {"name": "fpn", "label": "fused"},
            {"name": "fpn", "label": "plain", "fuse": False},
        ],
    )
    assert sorted(board_of(swapped, records).table["method"]) == sorted(names)


# --- from the results folder -----------------------------------------------------------------


def keep(results: Path, *records: tuple[Run, Record]) -> None:
    for run, outcome in records:
        record.write(outcome, run.folder(results))


def collected(runs: dict[tuple[str, int], Run], results: Path) -> set[tuple[str, str, int]]:
    records = read_records(list(runs.values()), results)
    return {(r.data, r.label, r.seed) for r in records}


def test_records_are_found_without_the_data(tmp_path: Path) -> None:
    runs = runs_of([0, 1])
    keep(tmp_path, *((run, record_of(run)) for run in runs.values()))
    unknown = runs_of([0, 1], data="")
    assert collected(unknown, tmp_path) == {("aaaa", label, seed) for label, seed in runs}
    assert collected(unknown, tmp_path / "gone") == set()


def test_records_of_other_runs_are_left_out(tmp_path: Path) -> None:
    runs, others = runs_of([0]), runs_of([0], schedule={"lr": 0.1})
    keep(tmp_path, *((run, record_of(run)) for run in (*runs.values(), *others.values())))
    limited = plan(tiny_suite(methods=ROWS), "aaaa", 2)
    keep(tmp_path, *((run, record_of(run)) for run in limited))
    records = read_records(list(runs.values()), tmp_path)
    assert {r.run_id for r in records} == {run.id for run in runs.values()}


def test_of_two_states_of_the_data_the_fuller_counts_and_no_clock(tmp_path: Path) -> None:
    old, new = runs_of([0, 1], "aaaa"), runs_of([0, 1], "bbbb")
    unknown = runs_of([0, 1], data="")
    late: dict[str, Any] = {"finished": "2099-02-02T00:00:00+00:00"}
    keep(tmp_path, *((run, record_of(run)) for run in list(old.values())[:3]))
    keep(tmp_path, *((run, record_of(run, **late)) for run in list(new.values())[:2]))
    failed = list(new.values())[2:]
    keep(tmp_path, *((run, failed_record(run)) for run in failed))  # records, and no results
    assert {data for data, _, _ in collected(unknown, tmp_path)} == {"aaaa"}
    board = leaderboard.leaderboard(list(unknown.values()), tmp_path)
    assert board.provenance["data"] == "synthetic aaaa"
    assert board.notes[0] == (
        "results on 2 states of the data: aaaa (3 runs, shown), bbbb (2 runs); choose with --data"
    )
    chosen = leaderboard.leaderboard(list(unknown.values()), tmp_path, "bb")
    assert chosen.provenance["data"] == "synthetic bbbb"
    assert chosen.notes[0].endswith("aaaa (3 runs), bbbb (2 runs, shown); choose with --data")
    keep(tmp_path, (failed[0], record_of(failed[0])))
    words = r"^results on 2 states of the data: aaaa \(3 runs\), bbbb \(3 runs\); choose with --d"
    with pytest.raises(RequestError, match=words):
        collected(unknown, tmp_path)
    with pytest.raises(RequestError, match=words):
        leaderboard.leaderboard(list(unknown.values()), tmp_path)
    with pytest.raises(
        RequestError, match=r"^--data cc: no run is on .*; known: aaaa \(3 runs\), "
    ):
        leaderboard.leaderboard(list(unknown.values()), tmp_path, "cc")


def test_with_the_data_at_hand_their_state_counts(tmp_path: Path) -> None:
    old, new = runs_of([0, 1], "aaaa"), runs_of([0, 1], "bbbb")
    keep(tmp_path, *((run, record_of(run)) for run in old.values()))
    keep(tmp_path, (new["fpn", 1], record_of(new["fpn", 1])))
    assert collected(new, tmp_path) == {("bbbb", "fpn", 1)}


def test_sizes_scored_by_another_protocol_are_no_results() -> None:
    runs = runs_of([0], methods=["fpn"], eval_sizes=[[32, 32], [96, 96]])
    (run,) = runs.values()
    old = scored(0.9).model_copy(update={"protocol_version": 0})
    sizes = {"32x32": {old.name: old}, "96x96": {scored(0.2).name: scored(0.2)}}
    board = board_of(runs, [record_of(run, sizes=sizes)])
    assert board.sizes["input"].tolist() == ["96x96"]
    reason = "not tested: 32x32; `sobench run` tests it with the stored weights"
    assert board.missing == {"fpn seed 0": reason}
