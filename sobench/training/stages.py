"""The stages of a training, each with a share of the suite's schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sobench.data.batches import steps_per_epoch
from sobench.models.detector import Stage
from sobench.suite.schedule import Schedule


@dataclass(frozen=True)
class StageSchedule:
    """A stage and its steps.

    Attributes:
        schedule: the suite's, shortened to the stage's share.
        first, end: the step that it begins with and the step that it ends before, counted over all
            stages.
        steps_per_epoch: steps in an epoch.
    """

    stage: Stage
    schedule: Schedule
    first: int
    end: int
    steps_per_epoch: int


def stage_schedules(
    stages: Sequence[Stage], schedule: Schedule, num_images: int
) -> list[StageSchedule]:
    """The schedule of each stage, one after the other; epochs and steps count on over all."""
    per_epoch = steps_per_epoch(num_images, schedule.batch_size)
    schedules: list[StageSchedule] = []
    for stage in stages:
        epochs = math.ceil(schedule.epochs * stage.share)
        milestones = tuple(m * epochs / schedule.epochs for m in schedule.milestones)
        shortened = schedule.model_copy(update={"epochs": epochs, "milestones": milestones})
        first = schedules[-1].end if schedules else 0
        end = first + per_epoch * epochs
        schedules.append(StageSchedule(stage, shortened, first, end, per_epoch))
    return schedules
