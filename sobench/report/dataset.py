"""Statistics of a dataset, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rich.console import Console
from rich.progress import Progress, TaskID

from sobench.data.annotations import Split
from sobench.data.cache import cache_bytes, cached_images, check_images
from sobench.data.cache_limit import limit_text
from sobench.data.check import WARNED, broken_images, checked_splits
from sobench.data.dataset import Dataset, SkippedRow, ids_digest
from sobench.data.fingerprint import check_unchanged
from sobench.data.split_sizes import split_sizes
from sobench.data.statistics import Statistics, describe
from sobench.data.subset import part_name
from sobench.errors import DataError
from sobench.report.coverage import print_coverage
from sobench.report.hashing import shown_fingerprint
from sobench.report.object_sizes import print_sizes, share
from sobench.report.terminal import PlainConsole, print_lines, print_table, print_warning
from sobench.suite.limit import Limit
from sobench.suite.sections import Suite

_SHOWN = 5
"""Skipped rows, and images that cannot be read, that are named one by one."""


def print_dataset(
    suite: Suite,
    limit: Limit,
    console: Console,
    build_cache: bool,
    trust_mtime: bool = False,
) -> None:
    """Print statistics of both splits; with ``build_cache``, decode and cache every image first.

    Nothing is printed of data that cannot be used, so that the reason stands alone.

    Args:
        limit: the images of each split that are used, or ``None`` for all.
        trust_mtime: believe remembered digests of files by size and modification time alone.

    Raises:
        DataError: a file is missing or broken.
    """
    identity = shown_fingerprint(suite.dataset, trust_mtime)
    splits, warnings = checked_splits(suite.dataset, limit)
    cached = []
    for name, dataset in splits.items() if build_cache else ():
        kept = _cached(suite, part_name(name, limit), dataset, identity)
        cached.append(f"{name}: {len(dataset.images)} images readable, {kept}")
    statistics = {name: describe(dataset) for name, dataset in splits.items()}
    # All that is printed is of one state of the data.
    check_unchanged(suite.dataset, identity)
    console.print(f"{suite.dataset.format}, fingerprint {identity}")
    for name, dataset in splits.items():
        text = f"{name}: {len(dataset.images)} images, sha256 of their ids {ids_digest(dataset)}"
        console.print(text)
    for line in cached:
        console.print(line)
    _print_totals(statistics, console)
    _print_classes(splits["train"].classes, statistics, console)
    print_sizes(suite, splits, console)
    print_coverage(suite, splits["train"], console)
    for name, dataset in splits.items():
        _print_skipped(name, dataset.skipped, console)
    for text in warnings:
        print_warning(console, f"warning: {text}")


def _cached(suite: Suite, name: str, dataset: Dataset, identity: str) -> str:
    """Decode all images and cache them under a name, with progress on stderr; what is cached.

    Raises:
        DataError: some cannot be read; names the first ones, with their reasons.
    """
    stderr = PlainConsole(stderr=True)
    check = partial(check_unchanged, suite.dataset, identity)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        bar = progress.add_task(f"decode {name}", total=len(dataset.images))
        callback = partial(_advance, progress, bar)
        on_wait = partial(progress.console.print, soft_wrap=True)
        try:
            images = cached_images(dataset, name, identity, suite.input, callback, on_wait, check)
        except DataError:
            # The first of perhaps many: each would cost the user a further attempt.
            if len(broken := broken_images(dataset)) > 1:
                raise DataError(_many_broken(dataset, broken)) from None
            raise
        if images is None:
            if broken := broken_images(dataset, callback):
                raise DataError(_many_broken(dataset, broken))
            size = cache_bytes(split_sizes(dataset).images, suite.input)
            return f"no cache: {size / 2**20:.0f} MiB would pass {limit_text()}"
        check_images(images)
        return f"cache {images.nbytes / 2**20:.0f} MiB"


def _many_broken(dataset: Dataset, broken: Sequence[str]) -> str:
    more = f"; and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return (
        f"{dataset.title}: {len(broken)} of {len(dataset.images)} images cannot be used:\n"
        f"{' | '.join(broken[:_SHOWN])}{more}"
    )


def _advance(progress: Progress, bar: TaskID, done: int, total: int) -> None:
    progress.update(bar, completed=done, total=total)


def _print_totals(statistics: Mapping[Split, Statistics], console: Console) -> None:
    splits = statistics.values()
    ranges = [split.boxes_per_image for split in splits]
    counts: dict[str, Sequence[object]] = {
        "images": [split.images for split in splits],
        "images without boxes": [split.images_without_boxes for split in splits],
        "boxes": [split.boxes for split in splits],
        "boxes an image: min, median, max": [f"{a}, {b:g}, {c}" for a, b, c in ranges],
        "regions ignored for all classes": [split.ignore_all_classes for split in splits],
        "regions ignored for one class": [split.ignore_one_class for split in splits],
        "rows skipped": [split.skipped for split in splits],
    }
    table_rows = [[name, *map(str, of_splits)] for name, of_splits in counts.items()]
    print_table(console, ["", *statistics], table_rows, "totals")
    notes = [
        f"{name}: {count} {note}"
        for name, split in statistics.items()
        for note, count in split.notes.items()
        if note not in WARNED
    ]
    if notes:
        print_lines(console, notes, style="")
        console.print()


def _print_classes(
    classes: Sequence[str], statistics: Mapping[Split, Statistics], console: Console
) -> None:
    splits = statistics.values()
    by_class = [
        [name, *(share(s.boxes_by_class[name], s.boxes) for s in splits)] for name in classes
    ]
    print_table(console, ["class", *statistics], by_class, title="boxes by class")


def _print_skipped(name: str, skipped: Sequence[SkippedRow], console: Console) -> None:
    for row in skipped[:_SHOWN]:
        print_warning(console, f"{name}: skipped {row.file}, {row.row}: {row.reason}")
    if len(skipped) > _SHOWN:
        print_warning(console, f"{name}: and {len(skipped) - _SHOWN} more")
