"""How long ``sobench report`` takes for ten methods with five seeds each.

Run with ``python -m tests.benchmarks.report``. Records are as large as those of a training on a
data set with ten classes; detections are simulated. ``cold`` computes the resamples of every run,
``warm`` reads those that the first call kept. Where other work runs beside it, only the seconds of
the processor tell.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
import yaml

from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.benchmarks.command_seconds import command_seconds
from tests.benchmarks.simulated import World, draw_scenes, draw_taste, draw_training
from tests.compare.matched_runs import keep_run
from tests.tiny_suite import CONTENT

METHODS = ("ssd", "fpn", "pafpn", "nas_fpn", "libra", "refinedet", "ta_fpn", "mrae")
"""Built in, with two more forms of ``fpn`` to make ten rows."""

CLASSES = 10
REPORT = ("report", "ten.yaml")


def write_results(folder: Path, seeds: int, images: int, objects: float) -> Path:
    """The suite, with records and matches of all its runs in ``results`` below the folder."""
    others = [
        {
            "name": "fpn",
            "label": f"FPN, rate {lr}",
            "deviations": {"schedule.lr": lr, "reason": "?"},
        }
        for lr in (0.01, 0.02)
    ]
    path = folder / "ten.yaml"
    content = CONTENT | {"name": "ten", "methods": [*METHODS, *others], "seeds": list(range(seeds))}
    path.write_text(yaml.safe_dump(content))
    world = World(images=images, objects=objects, classes=CLASSES, seed_noise=0.1)
    scenes = draw_scenes(world, np.random.default_rng(0))
    for number, run in enumerate(plan(load(path), "aaaabbbbcccc")):
        random = np.random.default_rng([run.seed, number])
        taste = draw_taste(world, np.random.default_rng([*run.entry.label.encode()]))
        drawn = draw_training(world, scenes, taste, number / seeds / 5, random)
        keep_run(run, folder / "results", drawn)
    return path


@click.command()
@click.option("--seeds", default=5)
@click.option("--images", default=548)
@click.option("--objects", default=70.0, help="Of an image, on average.")
@click.option("--repeat", default=3, help="Warm calls; the fastest is printed.")
def main(seeds: int, images: int, objects: float, repeat: int) -> None:
    """Print the seconds of cold and of warm reports."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_results(folder, seeds, images, objects)
        click.echo(f"{len(METHODS) + 2} methods x {seeds} seeds, {images} images")
        processor, wall, _ = command_seconds(folder, *REPORT)
        click.echo(f"cold: {processor:.2f} s of a processor, {wall:.2f} s in all")
        for arguments in ((), ("--format", "md"), ("--format", "csv"), ("--format", "json")):
            processor, wall, _ = min(
                command_seconds(folder, *REPORT, *arguments) for _ in range(repeat)
            )
            name = " ".join(arguments) or "terminal"
            click.echo(f"warm {name}: {processor:.2f} s of a processor, {wall:.2f} s in all")


if __name__ == "__main__":
    main()
