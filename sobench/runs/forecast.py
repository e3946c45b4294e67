"""What a command would do and what it would cost, without doing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sobench.data.annotations import Split
from sobench.data.cache_folder import cache_folder
from sobench.data.cache_limit import cache_room, free_bytes
from sobench.data.dataset import Dataset
from sobench.data.each_image import each_image
from sobench.data.resize import DecodedImages
from sobench.data.split_sizes import SplitSizes, split_sizes
from sobench.errors import RequestError, reason_of
from sobench.runs.estimate import Estimate, estimate
from sobench.runs.matrix import Task, check_data, due_tasks
from sobench.runs.needs import CacheNeed, cache_needs
from sobench.runs.splits import load_split
from sobench.runs.state import read_states
from sobench.suite.plan import Run, with_required

_DECODED = 16
"""Images whose decoding is timed."""


@dataclass(frozen=True)
class Forecast:
    """What is to be done, and what it costs.

    Attributes:
        tasks: the runs that are due, with those that they require.
        estimates: of one training, by ``row_id``, for the rows that are to be trained.
        failures: why a row cannot be trained or tested, by ``row_id``.
        caches: the image caches that the runs read, of which some may not be built yet.
        cache_s: seconds that building them takes, by a few images that were decoded here.
        free: bytes that the caches may take, and that are free in the folder of the results.
    """

    tasks: Sequence[Task]
    estimates: dict[str, Estimate]
    failures: dict[str, str]
    caches: Sequence[CacheNeed]
    cache_s: float
    free: tuple[int, int]

    @property
    def trained(self) -> list[Task]:
        """The tasks that are to be trained and can be."""
        return [t for t in self.tasks if t.is_trained and t.run.row_id in self.estimates]

    @property
    def seconds(self) -> float:
        """Of all trainings with their detection, and of the caches."""
        return self.cache_s + sum(self.estimates[task.run.row_id].seconds for task in self.trained)

    @property
    def result_bytes(self) -> int:
        """Room that the results take: what stays of each, and the checkpoints of one training."""
        found = [self.estimates[task.run.row_id] for task in self.trained]
        return sum(e.result_bytes for e in found) + max(
            (e.checkpoint_bytes for e in found), default=0
        )

    @property
    def lacks_room(self) -> bool:
        """Whether the results do not fit on their disk."""
        return self.result_bytes > self.free[1]


def forecast(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    warn: Callable[[str], None],
    on_row: Callable[[str], None],
) -> Forecast:
    """Check all that a matrix of runs needs, and time a few real steps of every row.

    Nothing is trained, and nothing is written; image files are decoded only as far as they are
    needed for that.

    Args:
        on_row: told of each row before it is timed.

    Raises:
        RequestError: no row that is to be trained can be.
        DataError: the data are wrong.
    """
    tasks = due_tasks(runs, read_states(with_required(runs), results))
    trained = [task.run for task in tasks if task.is_trained and task.refusal is None]
    check_data(trained, warn)
    failures = {task.run.row_id: str(task.refusal) for task in tasks if task.refusal is not None}
    estimates: dict[str, Estimate] = {}
    for run in trained:
        if run.row_id in estimates or run.row_id in failures:
            continue
        on_row(run.entry.label)
        splits: dict[Split, Dataset] = {s: load_split(run, s) for s in ("train", "val")}
        try:
            estimates[run.row_id] = estimate(run, splits["train"], splits["val"], device)
        except (KeyboardInterrupt, RequestError):
            raise
        except BaseException as error:  # whatever a method of another package does, or no memory
            failures[run.row_id] = reason_of(error)
    caches = cache_needs(
        [run for run in trained if run.row_id in estimates],
        _sizes_of, lambda run: estimates[run.row_id].images_2x,
    )  # fmt: skip
    seconds = sum(map(_seconds_to_build, caches))
    free = cache_room(cache_folder()), free_bytes(results)
    return Forecast(tasks, estimates, failures, caches, seconds, free)


def _sizes_of(run: Run, split: Split) -> SplitSizes:
    return split_sizes(load_split(run, split))


def _seconds_to_build(need: CacheNeed) -> float:
    """Seconds to read and resize the images of a cache, by the first few."""
    if need.state != "to build":
        return 0.0
    few = load_split(need.run, need.split).first(_DECODED)
    begin = time.perf_counter()
    with each_image(DecodedImages(few, need.settings).__getitem__, few) as decoded:
        number = sum(1 for _ in decoded)
    return need.count * (time.perf_counter() - begin) / number
