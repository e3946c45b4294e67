from __future__ import annotations

import math

import pytest

from sobench.models.build import build_detector
from sobench.suite.schedule import Schedule, Warmup
from sobench.training.optimizer import learning_rate, make_optimizer
from tests.tiny_suite import tiny_run


def _schedule(**changes: object) -> Schedule:
    return Schedule.model_validate({"epochs": 10, "batch_size": 1, "lr": 1.0} | changes)


def test_warm_up_and_milestones() -> None:
    schedule = _schedule(warmup={"steps": 10, "start": 0.1}, milestones=[5, 8], gamma=0.2)
    rates = [learning_rate(schedule, step, 10) for step in (0, 5, 10, 49, 50, 79, 80, 99)]
    assert rates == pytest.approx([0.1, 0.55, 1, 1, 0.2, 0.2, 0.04, 0.04])


def test_cosine_begins_after_the_warm_up_and_ends_near_zero() -> None:
    schedule = _schedule(warmup={"steps": 20, "start": 0.5}, decay="cosine")
    rates = [learning_rate(schedule, step, 10) for step in (0, 10, 20, 60, 99)]
    assert rates == pytest.approx([0.5, 0.75, 1, 0.5, 0.5 * (1 + math.cos(math.pi * 79 / 80))])


def test_a_warm_up_longer_than_the_training_is_no_error() -> None:
    schedule = _schedule(warmup=Warmup(steps=500, start=0.1), decay="cosine", epochs=1)
    rates = [learning_rate(schedule, step, 4) for step in range(4)]
    assert all(0.1 <= rate <= 0.2 for rate in rates)


def test_only_what_trains_is_optimised() -> None:
    run = tiny_run()
    detector = build_detector(run.suite, run.entry, 5, 0)
    detector.backbone.stem.requires_grad_(False)
    optimizer = make_optimizer(detector, run.suite.schedule)
    given = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert given == {id(p) for p in detector.parameters() if p.requires_grad}
