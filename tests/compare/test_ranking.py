"""What ranks, and whose numbers stand in a row."""

from __future__ import annotations

from sobench.compare import leaderboard
from sobench.metrics.scores import Scores
from sobench.runs.record import Record
from sobench.suite.plan import Run, plan
from tests.records import metrics_of, record_of, scored, states_of
from tests.tiny_suite import tiny_suite


def _scores(ap: float, **others: float) -> Scores:
    return scored(ap, metrics=metrics_of("coco", ap) | others)


def _board(records: list[tuple[Run, Record]]) -> leaderboard.Leaderboard:
    return leaderboard.build(
        [run for run, _ in records], states_of([run for run, _ in records], [r for _, r in records])
    )


def test_ap_ranks_whatever_the_other_metrics_say() -> None:
    names = [name for name in metrics_of("coco", 0.0) if name != "AP"]
    first, second = plan(tiny_suite(methods=["fpn", "ssd"]), "aaaa")
    for better, worse in ((first, second), (second, first)):
        board = _board(
            [
                (better, record_of(better, scored=_scores(0.3, **dict.fromkeys(names, 0.1)))),
                (worse, record_of(worse, scored=_scores(0.2, **dict.fromkeys(names, 0.9)))),
            ]
        )
        assert board.table["method"].tolist() == [better.entry.label, worse.entry.label]
        assert board.table["AP50"].tolist() == [0.1, 0.9]


def test_rows_of_other_sizes_are_each_methods_at_each_size() -> None:
    sizes = [[32, 32], [96, 64]]
    runs = plan(tiny_suite(methods=["fpn", "ssd"], seeds=[0, 1], eval_sizes=sizes), "aaaa")
    records = []
    for number, run in enumerate(runs):
        tested = {"32x32": scored(0.1 + number / 100), "96x64": scored(0.5 + number / 100)}
        sizes_of_run = {size: {of_size.name: of_size} for size, of_size in tested.items()}
        records.append((run, record_of(run, 0.9 - number / 100, sizes=sizes_of_run)))
    board = _board(records)
    columns = ["method", "input", "seeds"]
    assert board.sizes[columns].to_numpy().tolist() == [
        ["fpn", "32x32", 2], ["fpn", "96x64", 2], ["ssd", "32x32", 2], ["ssd", "96x64", 2],
    ]  # fmt: skip
    # Runs are seed by seed: fpn is 0 and 2, ssd is 1 and 3.
    assert [round(float(ap), 9) for ap in board.sizes["AP"]] == [0.11, 0.51, 0.12, 0.52]
