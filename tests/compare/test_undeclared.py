"""Settings that differ from the suite's without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sobench.compare.undeclared import undeclared
from sobench.errors import SuiteError
from sobench.suite.plan import Run, plan
from sobench.suite.reader import load
from sobench.suite.tuned import Choice
from tests.suite.shipped import SHIPPED
from tests.tiny_suite import tiny_suite


def changed(run: Run, section: str, **values: Any) -> Run:
    """The run as a faulty plan would have made it."""
    inner = getattr(run.suite, section)
    return replace(run, suite=run.suite.model_copy(
        update={section: inner.model_copy(update=values)}
    ))  # fmt: skip


def test_shipped_suites_declare_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOBENCH_DATA", "SOBENCH_STARTS"):
        monkeypatch.delenv(name, raising=False)
    looked_at = 0
    for path in SHIPPED:
        suite = load(path)
        try:
            runs = plan(suite, seeds=suite.seeds[:1])
        except SuiteError:  # weights from elsewhere
            continue
        looked_at += len(runs)
        for run in runs:
            assert undeclared(run, suite) == (), (path, run.row)
    assert looked_at > 50


@pytest.mark.parametrize(
    ("section", "values", "expected"),
    [
        ("schedule", {"lr": 0.5}, "schedule.lr: 0.5, in the suite 0.005"),
        ("augment", {"hflip": 0.0}, "augment.hflip: 0.0, in the suite 0.5"),
        ("input", {"size": (96, 96)}, "input.size: [96, 96], in the suite [64, 64]"),
        ("backbone", {"norm": "frozen"}, 'backbone.norm: "frozen", in the suite "train"'),
        (
            "backbone",
            {"weights": "imagenet"},
            'backbone.weights: "imagenet ", in the suite "none"',
        ),
        ("detect", {"nms": 0.9}, "detect.nms: 0.9, in the suite 0.5"),
        ("dataset", {"train": 8}, "dataset.train: 8, in the suite 7"),
    ],
)
def test_a_planted_difference_is_found(section: str, values: dict[str, Any], expected: str) -> None:
    suite = tiny_suite()
    (run,) = plan(suite)
    assert undeclared(run, suite) == ()
    found = undeclared(changed(run, section, **values), suite)
    assert len(found) == 1
    assert found[0].split(":")[0] == expected.split(":")[0]
    if "imagenet" not in expected:
        assert found == (expected,)


def test_what_a_row_declares_is_not_found() -> None:
    deviations = {"schedule.lr": 0.5, "head": "faster_rcnn", "reason": "why not"}
    suite = tiny_suite(methods=[{"name": "fpn", "deviations": deviations}])
    (run,) = plan(suite)
    assert undeclared(run, suite) == ()
    # A key beside those that it declares is found all the same.
    assert undeclared(changed(run, "schedule", lr=0.5, momentum=0.1), suite) == (
        "schedule.momentum: 0.1, in the suite 0.9",
    )


def test_a_choice_declares_its_own_values() -> None:
    suite = tiny_suite()
    (run,) = plan(suite)
    other = changed(run, "schedule", lr=0.5)
    choice = Choice({"schedule.lr": 0.5}, "tuned.yaml", 4, 9)
    assert undeclared(replace(other, choice=choice), suite) == ()


def test_required_runs_and_scoring_are_looked_at() -> None:
    suite = tiny_suite(methods=["efpn"])
    (run,) = plan(suite)
    ((role, baseline),) = run.requires
    other = replace(run, requires=((role, changed(baseline, "schedule", lr=0.5)),))
    assert undeclared(other, suite) == ("its baseline fpn: schedule.lr: 0.5, in the suite 0.005",)
    scored = replace(run, suite=run.suite.model_copy(update={"engine": "pycocotools"}), requires=())
    assert undeclared(scored, suite) == ("engine: pycocotools, in the suite hotcoco",)


def test_the_settings_of_a_record_are_looked_at() -> None:
    suite = tiny_suite()
    (run,) = plan(suite)
    settings = run.settings | {"precision": "bf16", "switches": {"fuse": False, "first_level": 3}}
    assert undeclared(run, suite, settings) == (
        'precision: "bf16", in the suite "fp32"',
        "fuse: False, in the row True",
    )


def test_other_weights_of_another_backbone_are_declared_by_its_name() -> None:
    path = Path(__file__).parents[2] / "suites" / "ablations" / "ta_fpn_table3.yaml"
    suite = load(path)
    (run,) = (r for r in plan(suite, seeds=[0]) if r.entry.label == "FPN on ResNet-101")
    assert undeclared(run, suite) == ()
    other = changed(run, "backbone", weights="none")
    (found,) = undeclared(other, suite)
    assert found.startswith('backbone.weights: "none", in the suite "imagenet ')


def test_regions_that_only_one_row_ignores() -> None:
    suite = tiny_suite()
    (run,) = plan(suite)
    other = replace(run, suite=run.suite.model_copy(update={"ignore_regions": False}))
    assert undeclared(other, suite) == ("ignore_regions: False, in the suite True",)
