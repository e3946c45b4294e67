from __future__ import annotations

import pytest

from sobench.models.detector import Stage
from sobench.training.stages import stage_schedules
from tests.tiny_suite import tiny_run


def test_stages_follow_one_another_with_a_schedule_of_their_own() -> None:
    run = tiny_run(schedule={"epochs": 5, "milestones": [2, 4]})
    stages = (Stage("head", 1.0), Stage("all", 0.5))
    head, everything = stage_schedules(stages, run.suite.schedule, num_images=7)
    assert (head.first, head.end, everything.first, everything.end) == (0, 15, 15, 24)
    assert head.schedule == run.suite.schedule
    assert everything.schedule.epochs == 3
    assert everything.schedule.milestones == pytest.approx((1.2, 2.4))
