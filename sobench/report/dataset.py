"""What a dataset holds, on a terminal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial

from rich.console import Console
from rich.progress import Progress, TaskID

from sobench.data.annotations import Split
from sobench.data.cache import cached_images
from sobench.data.dataset import Dataset, SkippedRow
from sobench.data.fingerprint import fingerprint
from sobench.data.load import load
from sobench.data.statistics import SIZE_BINS, Statistics, describe
from sobench.report.terminal import print_table
from sobench.suite.sections import Suite

_SHOWN = 5
"""SkippedRow rows that are named one by one."""


def print_dataset(suite: Suite, limit: int | None, console: Console, build_cache: bool) -> None:
    """Statistics of both splits; with ``build_cache`` every image is decoded and cached.

    Raises:
        DataError: something is missing or broken.
    """
    identity = fingerprint(suite.dataset)
    console.print(f"{suite.dataset.format}, fingerprint {identity}", highlight=False)
    names: tuple[Split, ...] = ("train", "val")
    splits = {name: load(suite.dataset, name).first(limit) for name in names}
    numbers = {name: describe(dataset) for name, dataset in splits.items()}
    for name, dataset in splits.items():
        text = f"{name}: {len(dataset.images)} images, sha256 of their ids {ids_digest(dataset)}"
        console.print(text, highlight=False)
    _print_totals(numbers, console)
    _print_boxes(splits["train"].classes, numbers, console)
    for name, dataset in splits.items():
        _print_skipped(name, dataset.skipped, console)
    if not build_cache:
        return
    for name, dataset in splits.items():
        screen = Console(stderr=True)
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bars:
            bar = bars.add_task(f"decode {name}", total=len(dataset.images))
            watch = partial(_advance, bars, bar)
            images = cached_images(dataset, name, identity, suite.input, watch)
        size = images.nbytes / 2**20
        console.print(
            f"{name}: {len(images)} images readable, cache {size:.0f} MiB", highlight=False
        )


def ids_digest(dataset: Dataset) -> str:
    """By which two people see that they have the same images, whatever their order.

    The first 16 hexadecimal digits of the SHA-256 of the image ids, as decimal numbers in rising
    order with a line feed between them.
    """
    ids = sorted(image.id for image in dataset.images)
    return hashlib.sha256("\n".join(map(str, ids)).encode()).hexdigest()[:16]


def _advance(bars: Progress, bar: TaskID, done: int, total: int) -> None:
    bars.update(bar, completed=done, total=total)


def _print_totals(numbers: Mapping[Split, Statistics], console: Console) -> None:
    headings = [
        "split", "images", "boxes", "boxes/image (min, median, max)", "median side px",
        "images without", "ignored (all classes)", "ignored (one class)", "rows skipped",
    ]  # fmt: skip
    rows = []
    for name, found in numbers.items():
        low, middle, high = found.boxes_per_image
        side = "-" if found.median_side is None else f"{found.median_side:.1f}"
        rows.append([name, str(found.images), str(found.boxes), f"{low}, {middle:g}, {high}", side,
                     str(found.images_without_boxes), str(found.ignore_all_classes),
                     str(found.ignore_one_class), str(found.skipped)])  # fmt: skip
    print_table(console, headings, rows)
    for name, found in numbers.items():
        for note, count in found.notes.items():
            console.print(f"{name}: {count} {note}", highlight=False, markup=False)
    console.print()


def _print_boxes(
    classes: Sequence[str], numbers: Mapping[Split, Statistics], console: Console
) -> None:
    splits = numbers.values()
    sizes = [[name, *(_counted(n.boxes_by_size[name], n) for n in splits)] for name in SIZE_BINS]
    print_table(console, ["side px", *numbers], sizes, title="boxes by size")
    rows = [[name, *(_counted(n.boxes_by_class[name], n) for n in splits)] for name in classes]
    print_table(console, ["class", *numbers], rows, title="boxes by class")


def _print_skipped(name: str, skipped: Sequence[SkippedRow], console: Console) -> None:
    for row in skipped[:_SHOWN]:
        text = f"{name}: skipped {row.file}, {row.row}: {row.reason}"
        console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if len(skipped) > _SHOWN:
        console.print(f"{name}: and {len(skipped) - _SHOWN} more", style="yellow", highlight=False)


def _counted(count: int, found: Statistics) -> str:
    return f"{count} ({100 * count / found.boxes:.0f} %)" if found.boxes else str(count)
