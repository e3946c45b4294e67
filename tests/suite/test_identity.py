"""A run's id changes with whatever can change its result, key by key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sobench.suite import plan
from sobench.suite.heads import HEADS
from sobench.suite.methods import get_method
from sobench.suite.reader import load
from tests.tiny_suite import tiny_suite

CHANGES: dict[str, dict[str, Any]] = {
    "input": {"size": [64, 96], "resize": "letterbox"},
    "augment": {"hflip": 0.25, "scale_jitter": [0.5, 2.0], "photometric": 0.5},
    "backbone": {"name": "resnet34", "norm": "frozen", "freeze": ["stem"]},
    "neck": {"channels": 24, "norm": "group", "tower_convs": 2},
    "anchors": {"smallest": 2.5, "octaves": 2, "ratios": [1.0]},
    "regions": {
        "pre_nms_top_n": 50, "nms": 0.6, "post_nms_top_n": 20, "batch_size_per_image": 16,
        "channels": 16, "rpn_beta": 0.1, "box_beta": 1.0, "box_weight": 2.0,
    },
    "schedule": {
        "epochs": 4, "batch_size": 3, "optimizer": "adamw", "lr": 0.007, "momentum": 0.8,
        "weight_decay": 0.01, "warmup": {"steps": 7, "start": 0.1}, "milestones": [1], "gamma": 0.3,
        "clip_norm": 3,
    },
    "detect": {"score_threshold": 0.1, "top_k": 500, "nms": 0.6, "max_detections": 120},
}  # fmt: skip
"""Another value of every key that every run under Faster R-CNN depends on."""


def _id(**changes: Any) -> str:
    # A file's weights would have to be read; frozen statistics need some.
    base = {"backbone": {"weights": "imagenet"}, "head": "faster_rcnn", "regions": {}}
    laid_over = {
        k: base.get(k, {}) | v if isinstance(v, dict) else v  # type: ignore[operator]
        for k, v in changes.items()
    }
    suite = tiny_suite(**base | laid_over)
    return plan.plan(suite, "aaaa")[0].id


@pytest.mark.parametrize(
    ("section", "key"), [(section, key) for section, keys in CHANGES.items() for key in keys]
)
def test_every_key_counts(section: str, key: str) -> None:
    assert _id(**{section: {key: CHANGES[section][key]}}) != _id()


def test_no_key_is_forgotten_above() -> None:
    suite = tiny_suite(head="faster_rcnn")
    for section, keys in CHANGES.items():
        # Weights count by their content; `decay: cosine` needs a suite without milestones, and
        # `fit` one without sizes.
        others = {"backbone": {"weights"}, "schedule": {"decay"}, "anchors": {"fit"}}.get(
            section, set()
        )
        assert set(keys) | others == set(type(getattr(suite, section)).model_fields)


def test_cosine_counts() -> None:
    ids = {_id(schedule={"milestones": [], "decay": decay}) for decay in ("milestones", "cosine")}
    assert len(ids) == 2


def test_the_method_counts_where_its_switches_are_anothers() -> None:
    (run,) = plan.plan(tiny_suite(), "aaaa")
    other = replace(run, entry=run.entry.model_copy(update={"name": "pafpn"}))
    assert other.settings_id != run.settings_id


def test_results_of_another_version_of_the_code_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = _id()
    monkeypatch.setattr("sobench.suite.plan.RESULTS_VERSION", plan.RESULTS_VERSION + 1)
    assert _id() != before


def test_the_head_counts_where_it_reads_what_another_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HEADS, "other", HEADS["retinanet"])
    (run,) = plan.plan(tiny_suite(), "aaaa")
    other = replace(run, suite=run.suite.model_copy(update={"head": "other"}))
    assert other.settings_id != run.settings_id


SETTINGS_IDS = {
    "fpn 0": "058af7ff095f", "pafpn 0": "c9965b9d5483", "ta_fpn 0": "c0534ce1beb9",
    "ssd 0": "12ebc814c0c9", "mrae 0": "272e2ef13263", "fpn 2": "d06a5281d5eb",
    "pafpn 2": "92f0db0dfb70", "ta_fpn 2": "ef09d40becba", "ssd 2": "1937c0a6e1c6",
    "mrae 2": "60257aba83bf",
}  # fmt: skip
"""Of rows of ``deeppcb_mini`` and their seeds, before the keys that only stand where they count."""


def test_keys_that_came_later_leave_the_runs_of_before_as_they_were() -> None:
    suite = load(Path(__file__).parents[2] / "suites" / "deeppcb_mini.yaml")
    rows = ("fpn", "pafpn", "ta_fpn", "ssd", "mrae")
    runs = plan.plan(suite, methods=rows, seeds=[0, 2])
    assert {f"{run.row} {run.seed}": run.settings_id for run in runs} == SETTINGS_IDS


def test_regions_that_are_background_count() -> None:
    assert _id(ignore_regions=False) != _id()
    assert _id(ignore_regions=True) == _id()


def test_random_scales_of_oblong_inputs_are_others_than_before() -> None:
    def settings(resize: str, size: list[int], jitter: list[float] | None) -> dict[str, Any]:
        changes: dict[str, Any] = {"input": {"resize": resize, "size": size}}
        return plan.plan(tiny_suite(**changes, augment={"scale_jitter": jitter}))[0].settings

    jitter = [0.5, 2.0]
    assert settings("stretch", [64, 96], jitter)["scale_jitter_version"] == 2
    assert settings("letterbox", [96, 64], jitter)["scale_jitter_version"] == 2
    for others in (
        settings("stretch", [64, 64], jitter),
        settings("stretch", [64, 96], None),
        settings("shorter_side", [64, 96], jitter),
    ):
        assert "scale_jitter_version" not in others


def test_a_version_of_a_method_counts_from_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    def settings(version: int) -> dict[str, Any]:
        row = replace(get_method("fpn"), version=version)
        monkeypatch.setattr(plan, "get_method", lambda _: row)
        return plan.plan(tiny_suite(), "aaaa")[0].settings

    first, second = settings(1), settings(2)
    assert "method_version" not in first
    assert second == first | {"method_version": 2}
