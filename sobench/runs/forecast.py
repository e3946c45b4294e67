"""What a command would do and what it would cost, without doing it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sobench.data.annotations import Split
from sobench.data.cache import cache_bytes, cache_file
from sobench.data.cache_folder import cache_folder
from sobench.data.dataset import Dataset
from sobench.data.resize import at_double_size, resize
from sobench.errors import RequestError, reason_of
from sobench.runs.estimate import Estimate, estimate
from sobench.runs.matrix import Task, check_data, due_tasks
from sobench.runs.splits import cache_name, load_split
from sobench.runs.state import read_states
from sobench.suite.input import Input
from sobench.suite.plan import Run, with_required

_DECODED = 8
"""Images whose decoding is timed."""


@dataclass(frozen=True)
class Cache:
    """Image caches that are still to be built: images, bytes, and seconds by some that were."""

    images: int = 0
    size: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """What is to be done, and what it costs.

    Attributes:
        tasks: the runs that are due, with those that they require.
        estimates: of one training, by ``row_id``, for the rows that are to be trained.
        failures: why a row cannot be trained or tested, by ``row_id``.
        cache: the image caches that are to be built.
        free: bytes that are free in the folders of the cache and of the results.
    """

    tasks: Sequence[Task]
    estimates: dict[str, Estimate]
    failures: dict[str, str]
    cache: Cache
    free: tuple[int, int]

    @property
    def trained(self) -> list[Task]:
        """The tasks that are to be trained and can be."""
        return [t for t in self.tasks if t.is_trained and t.run.row_id in self.estimates]

    @property
    def seconds(self) -> float:
        """Of all trainings with their detection, and of the caches."""
        return self.cache.seconds + sum(
            self.estimates[task.run.row_id].seconds for task in self.trained
        )

    @property
    def result_bytes(self) -> int:
        """Room that the results take: what stays of each, and the checkpoints of one training."""
        found = [self.estimates[task.run.row_id] for task in self.trained]
        return sum(e.result_bytes for e in found) + max(
            (e.checkpoint_bytes for e in found), default=0
        )

    @property
    def lacks_room(self) -> bool:
        """Whether the caches or the results do not fit on their disks."""
        return self.cache.size > self.free[0] or self.result_bytes > self.free[1]


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
    caches: dict[Path, Cache] = {}
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
            continue
        caches |= _caches(run, splits, estimates[run.row_id].images_2x)
    cache = Cache(
        sum(c.images for c in caches.values()),
        sum(c.size for c in caches.values()),
        sum(c.seconds for c in caches.values()),
    )
    free = _free(cache_folder()), _free(results)
    return Forecast(tasks, estimates, failures, cache, free)


def _caches(run: Run, splits: dict[Split, Dataset], images_2x: bool) -> dict[Path, Cache]:
    """The image caches that a run needs and that are not there."""
    needed: list[tuple[Split, Input]] = [(split, run.suite.input) for split in splits]
    needed += [("train", at_double_size(run.suite.input))] if images_2x else []
    caches = {}
    for split, settings in needed:
        dataset = splits[split]
        path = cache_file(dataset, cache_name(run, split), run.data, settings)
        if not path.exists():
            count = len(dataset.images)
            seconds = count * _seconds_to_decode(dataset, settings)
            caches[path] = Cache(count, cache_bytes(count, settings), seconds)
    return caches


def _seconds_to_decode(dataset: Dataset, settings: Input) -> float:
    """Seconds to read and resize an image, by the first few."""
    number, begin = min(_DECODED, len(dataset.images)), time.perf_counter()
    for index in range(number):
        resize(dataset.read_image(index), settings)
    return (time.perf_counter() - begin) / number


def _free(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
