"""The training step of every method beside torchvision's detector and beside the bare network.

Run with ``make benchmark``. All take turns in one process on the same ragged batches, so that any
other load on the machine slows all of them; the medians of the ratios within a round are printed,
kept in ``baselines/speed.json``, and compared with what is kept there.

* ours: our training step on a ready batch, with targets, losses, clipping and optimizer; of the
  first stage, where a method has several.
* torchvision: its RetinaNet or Faster R-CNN with the same backbone, widths, anchors per cell,
  levels, proposals and samples, its own matching and losses, and the same clipping and optimizer;
  its resizing is switched off.
* bare: FPN's forward and backward from the sum of its outputs, with the same clipping and
  optimizer, but without targets, matching or losses. This is measured for RetinaNet alone, since
  the cost of Faster R-CNN's second stage depends on its proposals.

Launches and waits are those on a GPU, as ``waits`` counts them without one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import exp
from pathlib import Path
from statistics import NormalDist, median

import click
import torch

from sobench import environment
from sobench.data.targets import Batch, Targets
from sobench.device import choose_device, device_name, pin_kernels
from sobench.metrics.cost import synchronize
from sobench.models.build import build_detector
from sobench.models.compiled import compiled_parts, compiles, using
from sobench.models.detector import Detector
from sobench.models.frozen import cast_frozen, computing_with
from sobench.suite.methods import methods
from sobench.suite.plan import Run, plan
from sobench.suite.reader import parse
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.benchmarks import speed_record
from tests.benchmarks.peers import CLASSES, PEERS, bare_step, torchvision_step
from tests.models.small_config import no_padding
from tests.training.rehearsal import Case, rehearse_training

FROZEN = ("stem", "layer1")


def make_run(
    head: str, backbone: str, size: int, batch: int, precision: str,
    method: str = "fpn", frozen: bool = False,
) -> Run:  # fmt: skip
    """The run of a method on synthetic data, with those that it requires."""
    settings = {
        "name": "benchmark",
        "dataset": {"format": "synthetic", "train": batch, "val": 1, "size": [size, size]},
        "input": {"size": [size, size]},
        "backbone": {"name": backbone, "weights": "none", "norm": "train"},
        "head": head,
        "schedule": {"epochs": 1, "batch_size": batch, "lr": 1e-3, "clip_norm": 35},
        "precision": precision,
        "methods": [method],
    }
    (run,) = plan(parse(settings, Path("benchmark")))
    return with_frozen(run) if frozen else run


def with_frozen(run: Run) -> Run:
    """The run with frozen layers and statistics, without a file of weights."""
    frozen = run.suite.backbone.model_copy(update={"freeze": FROZEN, "norm": "frozen"})
    suite = run.suite.model_copy(update={"backbone": frozen})
    requires = tuple((role, with_frozen(required)) for role, required in run.requires)
    return replace(run, suite=suite, requires=requires)


def build(run: Run, place: torch.device) -> Detector:
    """The detector as its training begins."""
    detector = build_detector(run.suite, run.entry, CLASSES, run.seed)
    detector.to(place).to(memory_format=torch.channels_last)
    for role, required in run.requires:
        detector.load_required(role, build(required, place))
    detector.start_stage(detector.stages[0])
    detector.train()
    return detector


def box_counts(images: int, fullest: int) -> list[int]:
    """Boxes of images as unequal as VisDrone's: 53 on average, and ``fullest`` in one of them.

    The others are the quantiles of a log-normal distribution, in an order that mixes them.
    """
    quantiles = [NormalDist(0, 0.9).inv_cdf((index + 0.5) / images) for index in range(images)]
    shares = [exp(q) for q in quantiles[:-1]]
    scale = max(0, 53 * images - fullest) / sum(shares)
    counts = [max(1, round(scale * share)) for share in shares] + [fullest]
    order = torch.randperm(images, generator=torch.Generator().manual_seed(0)).tolist()
    return [counts[index] for index in order]


def make_batch(
    size: int, counts: Sequence[int], device: torch.device, images_2x: bool = False
) -> Batch:
    """Random pixels with small boxes, whose sides have 8 to 40 pixels."""
    batch, boxes = len(counts), max(counts)
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(batch, boxes, 2, generator=generator) * (size - 40)
    side = 8 + torch.rand(batch, boxes, 2, generator=generator) * 32
    labels = torch.randint(0, CLASSES, (batch, boxes), generator=generator)
    corners, ignore = torch.cat((corner, corner + side), dim=2), torch.zeros(batch, 0, 4)
    for index, count in enumerate(counts):
        corners[index, count:], labels[index, count:] = 0, -1
    targets = Targets(corners, labels, ignore, no_padding(batch))

    def images(scale: int) -> torch.Tensor:
        shape = (batch, 3, scale * size, scale * size)
        pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return pixels.contiguous(memory_format=torch.channels_last)

    return Batch(images(1), targets, images(2) if images_2x else None).to(device)


def our_step(run: Run, place: torch.device) -> Callable[[Batch], None]:
    """Our step, of a compiled network where a training would have one."""
    detector = build(run, place)
    optimizer = make_optimizer(detector, run.suite.schedule)
    needs_2x = detector.stages[0].images_2x
    is_compiled = compiles("auto", place, run.suite.input)
    parts = compiled_parts(detector) if is_compiled else {}
    frozen = cast_frozen(detector, run.suite.precision)

    def step(batch: Batch) -> None:
        if not needs_2x:
            batch = Batch(batch.images, batch.targets)
        with using(detector, parts), computing_with(frozen):
            train_step(detector, optimizer, batch, 1e-3, 35, run.suite.precision).read()

    return step


def measure(
    steps: Mapping[str, Callable[[], object]], rounds: int, device: torch.device, warmup: int = 1
) -> dict[str, list[float]]:
    """Seconds of each step in each round, after rounds of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + warmup):
        for name, step in steps.items():
            synchronize(device)
            start = time.perf_counter()
            step()
            synchronize(device)
            if number >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def in_turn(step: Callable[[Batch], None], batches: Sequence[Batch]) -> Callable[[], None]:
    """The step on one batch after the other, from the first one on again."""
    state = {"next": 0}

    def take() -> None:
        step(batches[state["next"] % len(batches)])
        state["next"] += 1

    return take


def launched(run: Run) -> tuple[int, int]:
    """Operations that a step launches on a GPU, and how often the host waits for it."""
    log = rehearse_training(Case(run.entry.name, run.suite.head), run)
    return log.launches, len(log.waits)


def chosen_methods(head: str, names: str) -> list[str]:
    """The methods of a comma-separated list, by default all that have the head or one of theirs."""
    asked = [name for name in names.split(",") if name]
    return asked or [
        name
        for name, method in methods().items()
        if not method.source and (head in method.heads or not method.heads)
    ]


@click.command()
@click.option("--head", default="retinanet", type=click.Choice(list(PEERS)))
@click.option("--backbone", default="", help="by default resnet50 on a GPU, else resnet18")
@click.option("--size", default=0, help="by default 512 on a GPU, else 256")
@click.option("--batch", multiple=True, type=int, help="by default 4, on a GPU also 16")
@click.option("--fullest", default=900, help="boxes of the fullest image")
@click.option("--images", default=0, help="with different numbers of boxes, by default 64")
@click.option("--methods", "names", default="", help="by default all")
@click.option("--warmup", default=10)
@click.option("--rounds", default=16)
@click.option("--precision", default="", type=click.Choice(["", "fp32", "bf16"]))
@click.option("--device", default="auto", type=click.Choice(["auto", "cpu", "cuda"]))
@click.option("--record", is_flag=True, help="keep the ratios in place of those of before")
def main(
    head: str,
    backbone: str,
    size: int,
    batch: tuple[int, ...],
    fullest: int,
    images: int,
    names: str,
    warmup: int,
    rounds: int,
    precision: str,
    device: str,
    record: bool,
) -> None:
    """Print the duration of a step of each row, and its ratios to torchvision and to bare."""
    warnings.simplefilter("ignore")
    place = choose_device(device)
    on_gpu = place.type == "cuda"
    pin_kernels(place, one_size=True)
    backbone = backbone or ("resnet50" if on_gpu else "resnet18")
    size, precision = size or (512 if on_gpu else 256), precision or ("bf16" if on_gpu else "fp32")
    click.echo(f"{device_name(place)}, torch {environment.package_version('torch')}, {precision}")
    found: dict[str, float] = {}
    for number in batch or ((4, 16) if on_gpu else (4,)):
        title = f"{head}, {backbone}, {size}x{size}, batch {number}, {precision}"
        counts = box_counts(max(number, images or 64), fullest)
        click.echo(f"{title}: {min(counts)} to {max(counts)} boxes an image, {rounds} rounds")
        rows = {
            name: make_run(head, backbone, size, number, precision, name, on_gpu)
            for name in chosen_methods(head, names)
        }
        seconds = measured(rows, counts, number, place, rounds, warmup)
        for name, ratios in print_rows(rows, seconds, number).items():
            found |= {f"{title}: {name} / {other}": ratio for other, ratio in ratios.items()}
    speed_record.compare(found, device_name(place), record)


def measured(
    rows: Mapping[str, Run],
    counts: Sequence[int],
    number: int,
    place: torch.device,
    rounds: int,
    warmup: int,
) -> dict[str, list[float]]:
    """Seconds of the step of every row, of torchvision's and of the bare network's."""
    run = next(iter(rows.values()))
    suite, frozen = run.suite, bool(run.suite.backbone.freeze)
    size = suite.input.size[0]
    needs_2x = any(name in rows for name in ("efpn", "zoominnet"))
    batches = [
        make_batch(size, counts[first : first + number], place, needs_2x)
        for first in range(0, len(counts) - number + 1, number)
    ]
    peer = PEERS[suite.head](suite.backbone.name, size, frozen)
    peer.to(place).to(memory_format=torch.channels_last).train()
    steps = {name: our_step(row, place) for name, row in rows.items()}
    steps["torchvision"] = torchvision_step(peer, run, place)
    if suite.head == "retinanet" and "fpn" in rows:
        steps["bare"] = bare_step(build(rows["fpn"], place), run, place)
    turns = {name: in_turn(step, batches) for name, step in steps.items()}
    return measure(turns, rounds, place, warmup)


def print_rows(
    rows: Mapping[str, Run], seconds: Mapping[str, list[float]], number: int
) -> dict[str, dict[str, float]]:
    """A line for each row; the ratios of each to torchvision, of FPN also to bare."""
    found: dict[str, dict[str, float]] = {}
    for name, values in seconds.items():
        middle = median(values)
        line = f"{name:12} {1000 * middle:8.1f} ms a step, {number / middle:7.1f} images a second"
        if name in rows:
            others = ["torchvision", *(["bare"] if name == "fpn" and "bare" in seconds else [])]
            found[name] = {
                other: median(a / b for a, b in zip(values, seconds[other], strict=True))
                for other in others
            }
            launches, waits = launched(rows[name])
            line += f", {launches:5} launches, {waits} waits" + "".join(
                f", / {other} {ratio:.3f}" for other, ratio in found[name].items()
            )
        click.echo(line)
    return found


if __name__ == "__main__":
    main()
