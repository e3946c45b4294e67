"""What it costs to check every cached image as it is read, beside reading and training.

Run with ``make benchmark``. The fastest rounds are printed; of reading, the processor's time, which
other load on the machine hardly changes.

* checked: an image of the cache, with its checksum.
* plain: the same bytes of the same file, without.
* step: FPN's training step on a ready batch, for each of its images.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from sobench.data.cache import CachedImages, cached_images, check_images
from sobench.data.synthetic import read
from sobench.device import choose_device, device_name
from sobench.models.build import build_detector
from sobench.suite.datasets import SyntheticData
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.benchmarks.peers import CLASSES
from tests.benchmarks.training_step import make_batch, make_run, measure

FASTER = (100, 400)
"""Images a second of trainings on other machines, for which the share is printed too."""
LOADERS = 8
"""Loader processes beside a GPU, which share the work."""


def read_plain(images: CachedImages, file: int) -> None:
    """The pixels of every image, from the end of the file, since all before it is the head."""
    image = np.empty_like(images[0])
    head = os.fstat(file).st_size - images.nbytes
    for index in range(len(images)):
        os.preadv(file, [image.data.cast("B")], head + index * image.nbytes)


def fastest(read_all: Callable[[], object], rounds: int) -> float:
    """Seconds of this thread's processor time in the fastest round."""
    seconds = []
    for _ in range(rounds):
        start = time.thread_time()
        read_all()
        seconds.append(time.thread_time() - start)
    return min(seconds)


@click.command()
@click.option("--backbone", default="resnet50")
@click.option("--size", default=512)
@click.option("--batch", default=2)
@click.option("--images", "count", default=32)
@click.option("--rounds", default=8)
@click.option("--device", default="auto", type=click.Choice(["auto", "cpu", "cuda"]))
def main(backbone: str, size: int, batch: int, count: int, rounds: int, device: str) -> None:
    """Print the time of an image by each way, and the share of the check in a training step."""
    place = choose_device(device)
    run = make_run("retinanet", backbone, size, batch, "fp32")
    data = make_batch(size, [60] * batch, place)
    detector = build_detector(run.suite, run.entry, CLASSES, 0).to(place).train()
    optimizer = make_optimizer(detector, run.suite.schedule)
    scenes = SyntheticData(format="synthetic", train=count, val=1, size=(size, size))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SOBENCH_CACHE"] = folder
        images = cached_images(read(scenes, "train"), "train", "", run.suite.input)
        assert images is not None, "the limit of the cache is lower than what is measured"
        file = os.open(Path(images.path), os.O_RDONLY)
        times = {
            "checked": fastest(lambda: check_images(images), rounds) / count,
            "plain": fastest(lambda: read_plain(images, file), rounds) / count,
        }
        os.close(file)
    step = {"step": lambda: train_step(detector, optimizer, data, 1e-3, 35, "fp32").read()}
    times["step"] = min(measure(step, rounds, place)["step"]) / batch
    click.echo(f"{device_name(place)}, {backbone}, {size}x{size}, {rounds} rounds")
    for name, value in times.items():
        click.echo(f"{name:8} {1000 * value:9.3f} ms an image")
    check = times["checked"] - times["plain"]
    click.echo(f"checked / plain: {times['checked'] / times['plain']:.2f}")
    click.echo(f"check / step: {100 * check / times['step']:.3f} %")
    for speed in FASTER:
        share = 100 * check * speed / LOADERS
        click.echo(f"check at {speed} images a second, of {LOADERS} loaders' time: {share:.2f} %")


if __name__ == "__main__":
    main()
