"""``--smoke``: few images that stand for all, and a short schedule of the same form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sobench.errors import RequestError, SuiteError
from sobench.suite.limit import Representative
from sobench.suite.overrides import Request, read_request
from tests.tiny_suite import CONTENT, write_tiny

LONG: dict[str, Any] = {
    "epochs": 20, "milestones": [7, 15], "batch_size": 4,
    "warmup": {"steps": 500, "start": 0.1},
}  # fmt: skip


def request(folder: Path, smoke: int | None = 64, **changes: Any) -> Request:
    options = {key: changes.pop(key) for key in ("settings", "epochs", "seeds") if key in changes}
    schedule = CONTENT["schedule"] | LONG | changes.pop("schedule", {})
    content = {"precision": "bf16", "device": "cuda", "seeds": [3, 4]} | changes
    path = write_tiny(folder, schedule=schedule, **content)
    return read_request(path, smoke=smoke, **options)


def test_a_short_schedule_of_the_same_form(tmp_path: Path) -> None:
    asked = request(tmp_path)
    suite, schedule = asked.suite, asked.suite.schedule
    assert (schedule.epochs, schedule.milestones) == (2, (0.7, 1.5))
    assert schedule.warmup.steps == 4  # a tenth of 2 x 64 / 4 steps, rounded up
    assert (schedule.warmup.start, schedule.lr, schedule.batch_size) == (0.1, 0.005, 4)
    assert (suite.precision, suite.device, suite.seeds) == ("fp32", "auto", (3,))
    assert (asked.limit, asked.partial) == (Representative(64), ("--smoke 64",))


def test_what_is_short_already_stays(tmp_path: Path) -> None:
    brief = {"epochs": 1, "milestones": [0.5], "warmup": {"steps": 1, "start": 0.1}}
    schedule = request(tmp_path, schedule=brief).suite.schedule
    assert (schedule.epochs, schedule.milestones, schedule.warmup.steps) == (1, (0.5,), 1)


def test_what_is_asked_for_counts_more(tmp_path: Path) -> None:
    settings = ["schedule.warmup.steps=9", "precision=bf16", "seeds=[5, 6]", "device=cpu"]
    suite = request(tmp_path, settings=settings).suite
    assert (suite.schedule.warmup.steps, suite.precision) == (9, "bf16")
    assert (suite.seeds, suite.device) == ((5, 6), "cpu")
    assert (
        request(tmp_path, settings=["schedule.warmup={steps: 9}"]).suite.schedule.warmup.steps == 9
    )
    by_option = request(tmp_path, epochs=5).suite.schedule
    assert (by_option.epochs, by_option.milestones, by_option.warmup.steps) == (5, (1.75, 3.75), 8)
    by_key = request(tmp_path, settings=["schedule.epochs=16"]).suite.schedule
    assert (by_key.epochs, by_key.milestones) == (16, (7, 15))
    seeds = request(tmp_path, seeds="7,8")
    assert {run.seed for run in seeds.runs("")} == {7, 8}


def test_a_longer_row_stays_longer_and_a_shorter_one_shorter(tmp_path: Path) -> None:
    def row(label: str, **deviations: Any) -> dict[str, Any]:
        return {"name": "fpn", "label": label, "deviations": {**deviations, "reason": "a"}}

    rows = [
        "fpn",
        row("long", **{"schedule.epochs": 50, "schedule.milestones": [17.5, 37.5]}),
        row("a bit longer", **{"schedule.epochs": 21}),
        row("short", **{"schedule.epochs": 16, "schedule.milestones": [10]}),
        row("whole", schedule=CONTENT["schedule"] | LONG | {"epochs": 40, "lr": 0.1}),
        row("start", **{"schedule.warmup": {"steps": 300, "start": 0.5}}),
        row("rate", **{"schedule.lr": 0.1}),
    ]
    runs = {run.row: run.suite.schedule for run in request(tmp_path, methods=rows).runs("")}
    found = {label: (s.epochs, s.milestones, s.warmup.steps) for label, s in runs.items()}
    assert found == {
        "fpn": (2, (0.7, 1.5), 4),
        "long": (5, (1.75, 3.75), 8),
        "a bit longer": (3, (1.0, 2.142857), 5),
        "short": (1, (0.625,), 2),
        "whole": (4, (0.7, 1.5), 7),
        "start": (2, (0.7, 1.5), 4),
        "rate": (2, (0.7, 1.5), 4),
    }
    assert runs["whole"].lr == runs["rate"].lr == 0.1
    assert runs["start"].warmup.start == 0.5


def test_such_runs_are_others_than_those_of_the_suite_and_of_limit(tmp_path: Path) -> None:
    path = write_tiny(tmp_path)
    short = ["schedule.epochs=2", "schedule.milestones=[1.333333]", "schedule.warmup.steps=1"]
    requests = [
        read_request(path, smoke=4),
        read_request(path, smoke=5),
        read_request(path, short, limit=4),
        read_request(path, short),
    ]
    runs = [asked.runs("")[0] for asked in requests]
    assert len({run.settings_id for run in runs}) == 4
    assert runs[0].settings | {"limit": 4} == runs[2].settings
    assert runs[0].settings["limit"] == {"smoke": 4}
    assert requests[2].runs("")[0].settings["limit"] == 4


def test_the_number_of_images_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="--smoke: chooses the images itself, so --limit"):
        read_request(write_tiny(tmp_path), limit=3, smoke=3)


def test_what_does_not_fit_the_short_schedule_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="milestones: 7 is beyond the last epoch"):
        request(tmp_path, settings=["schedule.milestones=[7]"])
