"""FPN's training step beside torchvision's detector with the same head and beside the bare network.

Run with ``make benchmark``. The three take turns in one process, so that any other load on the
machine slows all of them; the medians of the ratios within a round are printed.

* ours: our training step on a ready batch, with targets, losses, clipping and optimizer.
* torchvision: its RetinaNet or Faster R-CNN with the same backbone, widths, anchors per cell,
  levels, proposals and samples, its own matching and losses, and the same clipping and optimizer;
  its resizing is switched off.
* bare: our network's forward and backward from the sum of its outputs, with the same clipping and
  optimizer, but without targets, matching or losses. This is measured for RetinaNet alone, since
  the cost of Faster R-CNN's second stage depends on its proposals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import click
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from sobench import environment
from sobench.data.targets import Batch, Targets
from sobench.device import autocast, choose_device, device_name
from sobench.metrics.cost import synchronize
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.suite.plan import Run
from sobench.suite.reader import parse
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.models.small_config import no_padding

CLASSES = 10


def make_run(head: str, backbone: str, size: int, batch: int, precision: str) -> Run:
    """The run that is measured: FPN on synthetic data."""
    settings = {
        "name": "benchmark",
        "dataset": {"format": "synthetic", "train": batch, "val": 1, "size": [size, size]},
        "input": {"size": [size, size]},
        "backbone": {"name": backbone, "weights": "none", "norm": "train"},
        "head": head,
        "schedule": {"epochs": 1, "batch_size": batch, "lr": 1e-3, "clip_norm": 35},
        "precision": precision,
        "methods": ["fpn"],
    }
    suite = parse(settings, Path("benchmark"))
    return Run(suite, suite.methods[0], 0, "")


RAGGED = (150, 95, 80, 66, 53, 45, 38, 31, 26, 21, 17, 14)
"""Boxes of twelve images as unequal as VisDrone's, 53 on average."""


def box_counts(boxes: int, fullest: int, batch: int) -> list[int]:
    """Boxes of each image: all the same, or ragged if the ``fullest`` image has so many."""
    if not fullest:
        return [boxes] * batch
    return [fullest, *(RAGGED[index % len(RAGGED)] for index in range(1, batch))]


def make_batch(size: int, counts: list[int], device: torch.device) -> Batch:
    """Random pixels with small boxes, whose sides have 8 to 40 pixels."""
    batch, boxes = len(counts), max(counts)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, size, size), generator=generator, dtype=torch.uint8)
    corner = torch.rand(batch, boxes, 2, generator=generator) * (size - 40)
    side = 8 + torch.rand(batch, boxes, 2, generator=generator) * 32
    labels = torch.randint(0, CLASSES, (batch, boxes), generator=generator)
    corners, ignore = torch.cat((corner, corner + side), dim=2), torch.zeros(batch, 0, 4)
    for index, count in enumerate(counts):
        corners[index, count:], labels[index, count:] = 0, -1
    targets = Targets(corners, labels, ignore, no_padding(batch))
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    return Batch(images, targets.to(device))


def torchvision_retinanet(backbone: str, size: int) -> RetinaNet:
    """torchvision's RetinaNet with P6 from C5 and nine anchors per cell, as ours."""
    body = torchvision.models.get_model(backbone, weights=None)
    widths = [128, 256, 512] if backbone in ("resnet18", "resnet34") else [512, 1024, 2048]
    layers = {"layer2": "0", "layer3": "1", "layer4": "2"}
    pyramid = BackboneWithFPN(body, layers, widths, 256, LastLevelP6P7(widths[-1], 256))
    sides = tuple(tuple(int(4 * s * 2 ** (o / 3)) for o in range(3)) for s in (8, 16, 32, 64, 128))
    anchors = AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * 5)
    return RetinaNet(
        pyramid, CLASSES, min_size=size, max_size=size, anchor_generator=anchors, _skip_resize=True
    )


def torchvision_faster_rcnn(backbone: str, size: int) -> FasterRCNN:
    """torchvision's Faster R-CNN with one anchor scale of 8 strides per level, as ours."""
    body = torchvision.models.get_model(backbone, weights=None)
    finest = 64 if backbone in ("resnet18", "resnet34") else 256
    widths = [finest * 2**level for level in range(4)]
    layers = {f"layer{level + 1}": str(level) for level in range(4)}
    pyramid = BackboneWithFPN(body, layers, widths, 256, LastLevelMaxPool())
    sides = tuple((8 * stride,) for stride in (4, 8, 16, 32, 64))
    anchors = AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * 5)
    return FasterRCNN(
        pyramid, CLASSES + 1, min_size=size, max_size=size, rpn_anchor_generator=anchors,
        rpn_post_nms_top_n_train=1000, _skip_resize=True,
    )  # fmt: skip


PEERS = {"retinanet": torchvision_retinanet, "faster_rcnn": torchvision_faster_rcnn}


def torchvision_step(
    model: nn.Module, batch: Batch, run: Run, device: torch.device
) -> Callable[[], None]:
    """torchvision's step on the same images and boxes, as its reference training does it."""
    optimizer = make_optimizer(model, run.suite.schedule)
    images = [x.contiguous() for x in batch.images.float().div(255)]
    first = 1 if isinstance(model, FasterRCNN) else 0  # there label 0 is the background
    targets = [
        {"boxes": b[k >= 0], "labels": k[k >= 0] + first}
        for b, k in zip(batch.targets.boxes, batch.targets.labels, strict=True)
    ]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(run.suite.precision, device):
            losses: dict[str, Tensor] = model(images, targets)
        _descend(sum(losses.values(), torch.zeros((), device=device)), model, optimizer)

    return step


def bare_step(
    detector: Detector, batch: Batch, run: Run, device: torch.device
) -> Callable[[], None]:
    """Forward and backward of the network alone."""
    optimizer = make_optimizer(detector, run.suite.schedule)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(run.suite.precision, device):
            output = detector.predict(batch.images)
        total = torch.stack([x.float().mean() for x in detector.head.flops_outputs(output)]).sum()
        _descend(total, detector, optimizer)

    return step


def _descend(total: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 35)
    optimizer.step()
    total.item()  # waits for the device, as any loop does that logs its loss


def measure(
    steps: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each step in each round, after one round of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            synchronize(device)
            start = time.perf_counter()
            step()
            synchronize(device)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


@click.command()
@click.option("--head", default="retinanet", type=click.Choice(list(PEERS)))
@click.option("--backbone", default="resnet18")
@click.option("--size", default=256)
@click.option("--batch", default=4)
@click.option("--boxes", default=60, help="of every image")
@click.option("--fullest", default=0, help="of the fullest image, the others as in VisDrone")
@click.option("--rounds", default=8)
@click.option("--precision", default="fp32", type=click.Choice(["fp32", "bf16"]))
@click.option("--device", default="auto", type=click.Choice(["auto", "cpu", "cuda"]))
def main(
    head: str,
    backbone: str,
    size: int,
    batch: int,
    boxes: int,
    fullest: int,
    rounds: int,
    precision: str,
    device: str,
) -> None:
    """Print the duration of a step of each, and the ratios of ours to the others."""
    place = choose_device(device)
    run = make_run(head, backbone, size, batch, precision)
    counts = box_counts(boxes, fullest, batch)
    data = make_batch(size, counts, place)
    ours, bare = (build_detector(run.suite, run.entry, CLASSES, 0) for _ in range(2))
    peer = PEERS[head](backbone, size)
    for model in (ours, bare, peer):
        model.to(place).to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(ours, run.suite.schedule)
    steps: dict[str, Callable[[], object]] = {
        "ours": lambda: train_step(ours, optimizer, data, 1e-3, 35, precision).read(),
        "torchvision": torchvision_step(peer, data, run, place),
    }
    if head == "retinanet":
        steps["bare"] = bare_step(bare, data, run, place)
    seconds = measure(steps, rounds, place)
    click.echo(f"{device_name(place)}, torch {environment.package_version('torch')}, {precision}")
    click.echo(
        f"{head}, {backbone}, {size}x{size}, batch {batch}, "
        f"{min(counts)} to {max(counts)} boxes an image, {rounds} rounds"
    )
    for name, values in seconds.items():
        middle = median(values)
        click.echo(
            f"{name:12} {1000 * middle:8.1f} ms a step, {batch / middle:8.1f} images a second"
        )
    for name in list(seconds)[1:]:
        ratio = median(a / b for a, b in zip(seconds["ours"], seconds[name], strict=True))
        click.echo(f"ours / {name}: {ratio:.3f}")


if __name__ == "__main__":
    main()
