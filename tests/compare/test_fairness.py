"""The lines of fairness, from runs and records that nobody trained."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from sobench.compare.fairness import fairness
from sobench.runs.record import Record
from sobench.suite.plan import Run, plan
from tests.records import COST, ENVIRONMENT, record_of, states_of
from tests.tiny_suite import tiny_suite

ALL = "uniform: backbone, input, augmentation, schedule, detections, data, images, seeds"


def lines(runs: list[Run], records: list[Record] | None = None) -> tuple[str, ...]:
    if records is None:
        records = [record_of(run) for run in runs]
    return fairness(runs, states_of(runs, records))


def planned(*methods: Any, seeds: tuple[int, ...] = (0, 1)) -> list[Run]:
    return plan(tiny_suite(methods=list(methods)), "0123456789ab", seeds=seeds)


def test_a_uniform_table() -> None:
    free = COST.model_copy(update={"extra_s": 0.0})
    runs = planned("fpn", "pafpn")
    assert lines(runs, [record_of(run, cost=free) for run in runs]) == (
        ALL,
        "no row deviates from the suite",
        "no row has extra training; all results by sobench 0.1.0 abcdef0123 on one machine",
    )


def test_rows_that_differ_are_named() -> None:
    deviations = {"schedule.epochs": 5, "reason": "why not"}
    runs = planned("fpn", "pafpn", {"name": "fpn", "label": "longer", "deviations": deviations})
    uniform, own, _ = lines(runs)
    assert uniform.endswith("detections, data, images, seeds; not uniform: schedule (longer)")
    assert own == "1 of 3 rows deviates, in so many ways: longer 1"


def test_seeds_and_images_that_differ() -> None:
    runs = planned("fpn", "pafpn", "libra")
    records = [record_of(run) for run in runs[:-1]]  # libra has one seed
    assert "not uniform: seeds (libra)" in lines(runs, records)[0]
    fewer = record_of(runs[-1], images={"train": 8, "val": 3})
    assert "not uniform: images (libra)" in lines(runs, [*records, fewer])[0]


def test_rows_without_a_result_are_left_out() -> None:
    runs = planned("fpn", "ssd", seeds=(0,))
    assert lines(runs, []) == ()
    assert lines(runs, [record_of(runs[0])])[1] == "no row deviates from the suite"
    assert lines(runs)[1] == "1 of 2 rows deviates, in so many ways: ssd 3"


def test_extra_training_is_told_as_a_multiple_of_one() -> None:
    runs = planned("fpn", "efpn", "zoominnet", seeds=(0,))
    # 90 s of its own and 60 s of its baseline; one training is that of the baseline.
    cost = COST.model_copy(update={"train_s": 90.0, "required_s": 60.0, "extra_s": 90.0})
    slight = COST.model_copy(update={"extra_s": 1.0})
    costs = [COST.model_copy(update={"extra_s": 0.0}), cost, slight]
    records = [record_of(run, cost=c) for run, c in zip(runs, costs, strict=True)]
    assert lines(runs, records)[2].startswith("extra training: efpn x2.5; all results")
    # Without times, what they require is told.
    records = [record_of(run, cost=None) for run in runs]
    assert lines(runs, records)[2].startswith(
        "extra training: efpn (baseline fpn), zoominnet (teacher fpn 128x128); all"
    )


def test_several_versions_and_machines() -> None:
    runs = planned("fpn", "pafpn", seeds=(0,))
    other = ENVIRONMENT.model_copy(update={"code": "0.2.0", "host": "elsewhere"})
    records = [record_of(runs[0]), record_of(runs[1], environment=other)]
    assert lines(runs, records)[2].endswith("by 2 versions of the code on 2 machines")
    bare = [record_of(run, environment=None) for run in runs]
    assert lines(runs, bare)[2] == "no row has extra training"


def test_it_needs_no_torch() -> None:
    script = "import sys, sobench.compare.fairness; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
