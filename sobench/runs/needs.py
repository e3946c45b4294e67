"""What runs need beside a device: image caches and memory; needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

from sobench.data.annotations import Split
from sobench.data.cache import cache_bytes, cache_file
from sobench.data.cache_folder import cache_folder
from sobench.data.cache_limit import cache_room
from sobench.data.fingerprint import BOTH
from sobench.data.resize import at_double_size, typical_shape
from sobench.data.split_sizes import SplitSizes, read_split_sizes
from sobench.runs.splits import cache_name
from sobench.suite.further_tests import further_tests, size_name
from sobench.suite.input import Input
from sobench.suite.methods import get_method
from sobench.suite.plan import Run


@dataclass(frozen=True)
class CacheNeed:
    """The images of a split at one size of the network input.

    Attributes:
        name: the split and the size of the input.
        run, split: the first run that reads them.
        settings: size of the input and kind of resizing.
        path: the file that caches them.
        count: number of images.
        size: bytes of the file.
        state: ``built``; ``to build``; or ``too large`` for the cache's limit, so that images are
            decoded whenever they are needed.
    """

    name: str
    run: Run
    split: Split
    settings: Input
    path: Path
    count: int
    size: int
    state: Literal["built", "to build", "too large"] = "to build"


@dataclass(frozen=True)
class DataNeeds:
    """What the data of a matrix take.

    Attributes:
        caches: the image caches that the runs read.
        room: bytes that new ones may take together.
        annotation_bytes: memory of the annotations of both splits, about.
        batch_bytes: memory of the images of the largest batch.
    """

    caches: Sequence[CacheNeed]
    room: int
    annotation_bytes: int
    batch_bytes: int


def data_needs(runs: Sequence[Run]) -> DataNeeds:
    """What the data of runs take; reads annotations that no command has counted before.

    Raises:
        DataError: the annotations are missing or broken.
        RequestError: ``SOBENCH_CACHE_LIMIT`` is not a size.
    """
    counted: dict[tuple[Any, ...], SplitSizes] = {}

    def sizes_of(run: Run, split: Split) -> SplitSizes:
        key = run.suite.dataset, split, run.limit, run.holdout, run.data
        if key not in counted:
            counted[key] = read_split_sizes(*key)
        return counted[key]

    def reads_2x(run: Run) -> bool:
        return get_method(run.entry.name).reads_2x(run.entry.switches)

    return DataNeeds(
        cache_needs(runs, sizes_of, reads_2x),
        cache_room(cache_folder()),
        max(sum(sizes_of(run, split).annotation_bytes for split in BOTH) for run in runs),
        max(_batch_bytes(run, reads_2x(run)) for run in runs),
    )


def _batch_bytes(run: Run, reads_2x: bool) -> int:
    """Bytes of the images of a batch at ``typical_shape``, of which those at double size have 4."""
    pixels = 3 * prod(typical_shape(run.suite.input)) * (5 if reads_2x else 1)
    return run.suite.schedule.batch_size * pixels


def cache_needs(
    runs: Sequence[Run],
    sizes_of: Callable[[Run, Split], SplitSizes],
    reads_2x: Callable[[Run], bool],
) -> list[CacheNeed]:
    """What runs read, each file once, in the order in which they ask for it.

    Args:
        sizes_of: the counts of a split of a run.
        reads_2x: whether a run trains on images at twice the size as well.

    Raises:
        RequestError: ``SOBENCH_CACHE_LIMIT`` is not a size.
    """
    first: dict[Path, CacheNeed] = {}
    for run in runs:
        for need in _needs(run, sizes_of, reads_2x(run)):
            first.setdefault(need.path, need)
    room, needs = cache_room(cache_folder()), []
    for need in first.values():
        if need.path.exists():
            needs.append(replace(need, state="built"))
        elif need.size > room:
            needs.append(replace(need, state="too large"))
        else:
            room -= need.size
            needs.append(need)
    return needs


def _needs(
    run: Run, sizes_of: Callable[[Run, Split], SplitSizes], reads_2x: bool
) -> Iterator[CacheNeed]:
    """What one run reads."""
    settings = run.suite.input
    inputs: list[tuple[Split, Input]] = [("train", settings), ("val", settings)]
    inputs += [("train", at_double_size(settings))] if reads_2x else []
    for test in further_tests(run.suite):
        resized = (settings.model_copy(update={"size": size}) for size in test.inputs)
        inputs += [("val", other) for other in resized]
    for split, other in inputs:
        sizes = sizes_of(run, split)
        yield CacheNeed(
            f"{split} at {size_name(other.size)}", run, split, other,
            cache_file(sizes.count, cache_name(run, split), run.data, other),
            sizes.count, cache_bytes(sizes.images, other),
        )  # fmt: skip
