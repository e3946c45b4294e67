"""The trials of ``sobench tune``: from options to runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sobench.errors import RequestError
from sobench.suite.grid import plan_trials, read_grid
from sobench.suite.overrides import Request
from sobench.suite.plan import Run, plan
from tests.tiny_suite import tiny_suite

SLOW: dict[str, Any] = {
    "name": "fpn", "label": "slow", "deviations": {"schedule.lr": 0.001, "reason": "slow"},
}  # fmt: skip


def trials(
    *grid: str, holdout: float = 0.2, methods: Any = ("fpn", "ssd"), **changes: Any
) -> list[Run]:
    suite = tiny_suite(methods=list(methods), **changes)
    return plan_trials(Request(suite), read_grid(grid), holdout, "aaaa")


def test_values_are_yaml() -> None:
    grid = read_grid(["schedule.lr=0.1, 0.2", "augment.scale_jitter=[0.5, 2], null"])
    assert grid == {"schedule.lr": [0.1, 0.2], "augment.scale_jitter": [[0.5, 2], None]}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["schedule.lr"], "--grid schedule.lr: write KEY=V1,V2"),
        (["schedule.lr="], "--grid schedule.lr=: write KEY=V1,V2"),
        (["=1"], "--grid =1: write KEY=V1,V2"),
        (["schedule.lr=1]"], "--grid schedule.lr=1]: the values: line 1"),
        (["schedule.lr=1", "schedule.lr=2"], "schedule.lr has values of its own"),
        (["schedule.warmup.steps=1", "schedule.warmup={steps: 2}"], "steps has values of its own"),
        ([f"a={','.join('1' * 40)}", f"b={','.join('1' * 40)}"], "1600 trials of each row"),
        ([], "--grid: nothing to try"),
    ],
)
def test_wrong_grids_are_refused(texts: list[str], words: str) -> None:
    with pytest.raises(RequestError) as error:
        read_grid(texts)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ("schedule.lrr=1", "--grid: fpn: unknown key 'schedule.lrr'; did you mean 'lr'?"),
        ("nonsense=1", "--grid: fpn: unknown key 'nonsense'"),
        ("schedule.lr=-1", "--grid: fpn: schedule.lr: -1 is wrong; it must be greater than 0"),
        ("schedule.lr=fast", "--grid: fpn: schedule.lr: fast is wrong; write a number"),
        ("protocol=coco,tiny", "--grid: fpn: protocol must be the same for every row"),
        ("dataset.train=5", "--grid: fpn: dataset.train must be the same for every row"),
        ("tuned=none", "--grid: fpn: tuned must be the same for every row"),
        ("lr=1", "--grid: fpn: unknown key 'lr'; did you mean 'schedule.lr'?"),
        ("schedule.lr=1,1.0", "are the same training"),
        # The head of this suite has no second stage, so that all trials would be the same.
        ("regions.nms=0.5,0.6", "--grid: fpn: regions.nms=0.5 and regions.nms=0.6 are"),
    ],
)
def test_keys_and_values_are_checked_as_deviations_are(grid: str, words: str) -> None:
    with pytest.raises(RequestError) as error:
        trials(grid)
    assert words in str(error.value)


def test_a_section_is_printed_as_it_is_written() -> None:
    (run,) = trials("anchors=fit", methods=["fpn"])
    assert run.row == "fpn anchors=fit"
    assert run.suite.anchors.fit


def test_a_row_that_deviates_in_the_key_is_refused() -> None:
    with pytest.raises(RequestError, match=r"--grid: slow: schedule.lr: the row has the deviation"):
        trials("schedule.lr=0.1", methods=["fpn", SLOW])
    assert trials("schedule.weight_decay=0.1", methods=["fpn", SLOW])


def test_every_row_has_the_same_trials() -> None:
    runs = trials("schedule.lr=0.1,1e-3", "schedule.weight_decay=0,0.1,0.2", seeds=[3, 4])
    assert len(runs) == 2 * 6 * 2
    assert len({run.settings_id for run in runs}) == len(runs)
    texts = {run.choice.text for run in runs if run.choice}
    assert Counter((run.entry.label, run.seed) for run in runs) == dict.fromkeys(
        [("fpn", 3), ("fpn", 4), ("ssd", 3), ("ssd", 4)], len(texts)
    )
    assert "schedule.lr=0.001, schedule.weight_decay=0.2" in texts  # as the suite reads 1e-3
    assert runs[0].suite.schedule.lr == 0.1
    assert runs[0].name == "fpn schedule.lr=0.1, schedule.weight_decay=0.0 seed 3"


def test_a_trial_is_another_run_than_the_suites_and_lies_elsewhere(tmp_path: Any) -> None:
    (trial,) = trials("schedule.lr=0.005", methods=["fpn"])
    (run,) = plan(tiny_suite(methods=["fpn"]), "aaaa")
    assert trial.suite.schedule == run.suite.schedule
    assert trial.settings == run.settings | {"holdout": 0.2}
    assert trial.id != run.id
    assert trial.row_id != run.row_id
    assert trial.folder(tmp_path).parents[1].name == "tiny.tune"


def test_the_share_counts_and_the_grid_does_not() -> None:
    (one,) = trials("schedule.lr=0.01", methods=["fpn"])
    (other,) = trials("schedule.lr=0.01", methods=["fpn"], holdout=0.3)
    assert other.id != one.id
    assert one.id in {run.id for run in trials("schedule.lr=0.01,0.02")}


def test_trials_are_not_tested_at_further_sizes() -> None:
    (trial,) = trials("schedule.lr=0.01", methods=["fpn"], eval_sizes=[[96, 96]])
    assert trial.suite.eval_sizes == ()


def test_what_a_row_requires_is_trained_once_for_all_trials_and_not_on_held_out_images() -> None:
    runs = trials("schedule.lr=0.1,0.2", methods=["efpn"])
    (baseline,) = {required.id: required for run in runs for _, required in run.requires}.values()
    assert baseline.holdout == 0.2
    assert baseline.suite.schedule.lr == 0.005
    assert baseline.suite.name == "tiny.tune"
