"""How long ``plan``, ``status`` and ``report`` take for many suites with many runs.

Run with ``python -m tests.benchmarks.many_runs``. Records, settings, logs and matches are made up,
as large as those of trainings of 20 epochs; half of the suites lie in one folder of results, the
others in a second one, and both are gathered. A report is cold when no run was resampled yet, and
warm when the verdicts are kept. Where other work runs beside it, only the seconds of the processor
tell.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
import yaml

from sobench.data.fingerprint import fingerprint
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Epoch
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.benchmarks.command_seconds import command_seconds
from tests.benchmarks.simulated import World, draw_scenes, draw_taste, draw_training
from tests.compare.matched_runs import keep_run
from tests.tiny_suite import CONTENT

METHODS = ("ssd", "fpn", "pafpn", "nas_fpn", "libra", "refinedet", "ta_fpn", "mrae")
"""Built in, with further forms of ``fpn`` to make as many rows as are asked for."""

HISTORY = tuple(
    Epoch(epoch=epoch, step=100 * epoch, losses={"total": 0.1, "box": 0.05, "label": 0.05}, ap=0.1)
    for epoch in range(1, 21)
)


def write_suites(folder: Path, suites: int, rows: int, seeds: int, images: int) -> list[Path]:
    """Suites with all their results, in ``a`` and ``b`` below the folder."""
    others = [
        {
            "name": "fpn",
            "label": f"FPN, variant {number}",
            "deviations": {"schedule.lr": 0.01 * number, "reason": "?"},
        }
        for number in range(1, rows - len(METHODS) + 1)
    ]
    world = World(images=images, objects=10, classes=5, seed_noise=0.1)
    scenes = draw_scenes(world, np.random.default_rng(0))
    paths = []
    for number in range(suites):
        path = folder / f"suite{number}.yaml"
        # Suites differ in what they train, so that not one run is shared.
        content = CONTENT | {
            "name": path.stem,
            "methods": [*METHODS[:rows], *others],
            "seeds": list(range(seeds)),
            "schedule": CONTENT["schedule"] | {"epochs": 4 + number},
        }
        path.write_text(yaml.safe_dump(content))
        suite = load(path)
        results = folder / ("a" if number < suites / 2 else "b")
        for run in plan(suite, fingerprint(suite.dataset)):
            random = np.random.default_rng([number, run.seed, *run.entry.label.encode()])
            taste = draw_taste(world, np.random.default_rng([*run.entry.label.encode()]))
            drawn = draw_training(world, scenes, taste, 0.0, random)
            keep_run(run, results, drawn, history=HISTORY)
            record.write_settings(run, RunFolder.of(run, results).path, 2000)
        paths.append(path)
    return paths


@click.command()
@click.option("--suites", default=20)
@click.option("--rows", default=12)
@click.option("--seeds", default=5)
@click.option("--images", default=100)
@click.option("--repeat", default=3, help="Warm calls; the fastest is printed.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the made-up results there.")
def main(suites: int, rows: int, seeds: int, images: int, repeat: int, folder: Path | None) -> None:
    """Print the seconds of each command."""
    with tempfile.TemporaryDirectory() as name:
        place = folder or Path(name)
        place.mkdir(exist_ok=True)
        names = [path.name for path in write_suites(place, suites, rows, seeds, images)]
        click.echo(f"{suites} suites x {rows} rows x {seeds} seeds, {images} images")
        results = ("--results", "a", "--results", "b")
        commands = {
            "plan": ("plan", *names, *results),
            "status": ("status", *results),
            "status of the suites": ("status", *names, *results),
            "report": ("report", *names, *results),
        }
        for title, command in commands.items():
            processor, wall, _ = command_seconds(place, *command)
            click.echo(f"{title}, cold: {processor:.2f} s of a processor, {wall:.2f} s in all")
        for title, command in commands.items():
            processor, wall, _ = min(command_seconds(place, *command) for _ in range(repeat))
            click.echo(f"{title}, warm: {processor:.2f} s of a processor, {wall:.2f} s in all")


if __name__ == "__main__":
    main()
