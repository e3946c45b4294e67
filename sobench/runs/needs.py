"""The image caches that runs read, and which of them there will be; needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sobench.data.annotations import Split
from sobench.data.cache import cache_bytes, cache_file, cache_folder
from sobench.data.cache_limit import cache_room
from sobench.data.resize import at_double_size
from sobench.data.split_sizes import SplitSizes
from sobench.runs.splits import cache_name
from sobench.suite.further_tests import further_tests, size_name
from sobench.suite.input import Input
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
