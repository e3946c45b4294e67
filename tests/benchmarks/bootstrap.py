"""Matching and resampling ten methods on a set like VisDrone val, beside hotcoco's own ``compare``.

Run with ``python -m tests.benchmarks.bootstrap``. Wall-clock time and processor time (user and
system) of each part are printed; on a machine with other load, only the latter tells. What is
compared is not the same: hotcoco gives intervals of its summary metrics for one pair, ours give
every metric of the protocol, and those of each class, for all methods.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import click
import numpy as np

from sobench import environment
from sobench.compare.bootstrap import draw_weights, resample
from sobench.data.dataset import Dataset
from sobench.metrics.coco import hotcoco_evaluator
from sobench.metrics.detections import DetectionRow, DetectionTable, tabulate
from sobench.metrics.ground_truth import ground_truth
from sobench.metrics.matches_file import read_matches, write_matches
from sobench.metrics.weighted import Weighted
from sobench.suite.protocols import PROTOCOLS, Protocol
from tests.benchmarks.drone_scene import CLASSES, detect, draw_scene
from tests.metrics.scoring_cases import match

Seconds = dict[str, list[float]]
"""Part -> wall-clock and processor seconds, added up."""


@contextmanager
def clock(seconds: Seconds, part: str) -> Iterator[None]:
    """Add the time of the block to a part."""
    before = _now()
    yield
    spent = seconds.setdefault(part, [0.0, 0.0])
    for number, (first, last) in enumerate(zip(before, _now(), strict=True)):
        spent[number] += last - first


def _now() -> tuple[float, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), usage.ru_utime + usage.ru_stime


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def resample_method(
    dataset: Dataset,
    rows: list[DetectionRow],
    protocol: Protocol,
    resamples: int,
    seconds: Seconds,
) -> tuple[Weighted, int]:
    """The resampled metrics of one method, and the bytes of its file of matches."""
    with clock(seconds, "match"):
        matches = match(dataset, rows, protocol, "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matches.npz"
        with clock(seconds, "write and read matches"):
            write_matches(path, matches)
            matches = read_matches(path)
        size = path.stat().st_size
    with clock(seconds, "resample"):
        resampled = resample(matches, draw_weights(len(dataset.images), resamples))
    return resampled, size


def all_differences(methods: list[Weighted]) -> dict[tuple[int, int, str], list[float]]:
    """The ends of a 95 % interval of the difference of each pair in each metric."""
    return {
        (one, other, name): np.quantile(a - methods[other].metrics[name], [0.025, 0.975]).tolist()
        for one, other in combinations(range(len(methods)), 2)
        for name, a in methods[one].metrics.items()
    }


def compare_with_hotcoco(
    dataset: Dataset, tables: list[DetectionTable], protocol: Protocol, draws: int, seconds: Seconds
) -> None:
    """hotcoco's intervals for one pair."""
    import hotcoco

    truth = ground_truth(dataset, protocol)
    with clock(seconds, "hotcoco: match two methods"):
        one, other = (hotcoco_evaluator(dataset, truth, table, protocol) for table in tables)
    with clock(seconds, "hotcoco: compare one pair"):
        hotcoco.compare(one, other, n_bootstrap=draws)


def show(seconds: Seconds) -> None:
    click.echo(f"{'part':32}{'wall s':>10}{'processor s':>14}")
    for part, (wall, processor) in seconds.items():
        click.echo(f"{part:32}{wall:10.2f}{processor:14.2f}")


@click.command()
@click.option("--images", default=548)
@click.option("--boxes", default=41_000)
@click.option("--per-image", default=500, help="Detections per image.")
@click.option("--methods", default=10)
@click.option("--resamples", default=1000)
@click.option("--resamples-there", default=1000, help="Resamples of hotcoco.")
@click.option("--protocol", "name", default="visdrone-coco", type=click.Choice(list(PROTOCOLS)))
def main(
    images: int,
    boxes: int,
    per_image: int,
    methods: int,
    resamples: int,
    resamples_there: int,
    name: str,
) -> None:
    """Print the seconds and the memory of each part."""
    protocol, dataset = PROTOCOLS[name], draw_scene(images, boxes)
    ours: Seconds = {}
    theirs: Seconds = {}
    resampled: list[Weighted] = []
    tables: list[DetectionTable] = []
    size = 0
    for number in range(methods):
        rows = detect(dataset, per_image, quality=0.6 + 0.2 * number / methods, seed=number)
        tables += [tabulate(rows, "detections")] if number < 2 else []
        one, size = resample_method(dataset, rows, protocol, resamples, ours)
        resampled.append(one)
    with clock(ours, "differences of all pairs"):
        differences = all_differences(resampled)
    peak = _peak_mib()
    click.echo(
        f"{images} images, {boxes} boxes, {images * per_image} detections a method, "
        f"{len(CLASSES)} classes; {methods} methods, {resamples} resamples; {protocol.name}"
    )
    packages = ("numpy", "scipy", "hotcoco")
    click.echo(", ".join(f"{p} {environment.package_version(p)}" for p in packages))
    total = np.sum(list(ours.values()), axis=0).tolist()
    show(ours | {f"all {len(differences)} intervals": total})
    click.echo(f"peak memory {peak:.0f} MiB, drawing the detections included; {size} bytes a file")
    # Behind the others, for it takes long.
    compare_with_hotcoco(dataset, tables, protocol, resamples_there, theirs)
    click.echo(f"hotcoco, {resamples_there} resamples")
    show(theirs)


if __name__ == "__main__":
    main()
