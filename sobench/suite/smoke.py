"""A suite made short: for a look at whether everything works, on any machine, in minutes."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from sobench.suite.reader import with_deviations
from sobench.suite.schedule import Schedule
from sobench.suite.sections import MethodEntry, Suite
from sobench.suite.tuned import overlapping

EPOCHS = 2

_WARMUP = 0.1
"""Largest share of the steps."""


def smoke_overrides(
    suite: Suite, images: int, given: Mapping[str, Any], has_seeds: bool
) -> dict[str, Any]:
    """What ``--smoke`` sets, by dotted keys, apart from what is given already.

    The training is of two epochs, with the milestones in proportion and a warm-up of a tenth of the
    steps at most. Numbers are fp32 and the device is any, so that a suite for a GPU runs everywhere
    and is the same run everywhere. There is one seed, the suite's first.

    Args:
        suite: with what is given laid over.
        images: of the training.
        given: dotted keys that the user has set; they stay.
        has_seeds: whether seeds are given beside the suite.
    """
    epochs = suite.schedule.epochs
    if not overlapping("schedule.epochs", given):
        epochs = min(EPOCHS, epochs)
    settings = _shortened(suite.schedule, epochs, images) | {"precision": "fp32", "device": "auto"}
    if not has_seeds:
        settings["seeds"] = list(suite.seeds[:1])
    return {key: value for key, value in settings.items() if not overlapping(key, given)}


def with_short_rows(suite: Suite, full: Suite, images: int) -> Suite:
    """The short suite, in which rows with epochs of their own are as much longer or shorter.

    Args:
        suite: with the overrides of ``smoke_overrides``.
        full: the suite without them.
        images: of the training.
    """
    share = suite.schedule.epochs / full.schedule.epochs
    rows = [_short_row(row, full, suite.schedule.epochs, share, images) for row in suite.methods]
    return suite.model_copy(update={"methods": tuple(rows)})


def _short_row(
    row: MethodEntry, full: Suite, epochs_of_suite: int, share: float, images: int
) -> MethodEntry:
    if not overlapping("schedule", row.deviations):
        return row
    schedule = with_deviations(full, row, Path(full.name)).schedule
    # A longer row stays longer, or it may be the same training as another.
    is_longer = schedule.epochs > full.schedule.epochs
    epochs = ceil(share * schedule.epochs) if is_longer else max(1, int(share * schedule.epochs))
    epochs = max(epochs, epochs_of_suite + 1) if is_longer else epochs
    short = _shortened(schedule, epochs, images)
    deviations = {key: value for key, value in row.deviations.items() if key != "schedule"}
    whole = row.deviations.get("schedule", {})
    deviations |= {f"schedule.{key}": value for key, value in whole.items()}
    if "schedule.warmup" in deviations:
        deviations["schedule.warmup"] |= {"steps": short.pop("schedule.warmup.steps")}
    return row.model_copy(update={"deviations": deviations | short})


def _shortened(schedule: Schedule, epochs: int, images: int) -> dict[str, Any]:
    """The keys of a schedule of so many epochs and images that has the form of a longer one."""
    steps = epochs * max(1, images // schedule.batch_size)
    share = epochs / schedule.epochs
    return {
        "schedule.epochs": epochs,
        "schedule.milestones": [round(m * share, 6) for m in schedule.milestones],
        "schedule.warmup.steps": min(schedule.warmup.steps, ceil(_WARMUP * steps)),
    }
