"""Seconds that `sobench plan` of the COCO suite takes on a made-up set of COCO's size.

Run by name: `python -m tests.benchmarks.large_plan`. It draws annotations of 118,287 training and
5,000 val images with objects and polygons as many and as long as COCO's, and an empty image file
for each, below a folder that is deleted at the end (0.5 GB, and 123,287 files). Wall time and the
processor's time of the command are printed; other load on the machine hardly changes the latter.

* new: of a set that no command has seen.
* known: once its files have been hashed and its annotations read.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import click

from sobench.data.fingerprint import fingerprint
from sobench.suite.reader import load
from tests.benchmarks.command_seconds import command_seconds

SUITE = Path(__file__).parents[2] / "suites" / "coco.yaml"
SIZES = ((480, 640), (640, 480), (427, 640), (640, 427), (500, 375), (375, 500), (612, 612))
"""Height and width of images; wide ones are twice as many."""
BOXES = 7.27
"""Objects of an image, in the mean; as many as in train2017."""
CATEGORIES = [*range(1, 81)]


def write_split(root: Path, name: str, images: int, chance: random.Random) -> None:
    """An annotation file and image files."""
    folder = root / f"{name}2017"
    folder.mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    shapes = [(*chance.choice((*SIZES, *SIZES[::2])), number) for number in range(1, images + 1)]
    with (root / "annotations" / f"instances_{name}2017.json").open("w") as file:
        file.write('{"images": [')
        for height, width, number in shapes:
            (folder / f"{number:012d}.jpg").touch()
            comma = "," if number > 1 else ""
            file.write(
                f'{comma}{{"id":{number},"file_name":"{number:012d}.jpg","height":{height},'
                f'"width":{width},"license":1,"date_captured":"2013-11-14 17:02:52"}}'
            )
        file.write('], "annotations": [')
        for number in range(1, int(images * BOXES) + 1):
            height, width, image = shapes[chance.randrange(images)]
            x, y = chance.randrange(width - 40), chance.randrange(height - 40)
            polygon = ",".join(f"{x + corner}.{corner:02d}" for corner in range(44))
            file.write(
                f'{"," if number > 1 else ""}{{"id":{number},"image_id":{image},"category_id":'
                f'{chance.choice(CATEGORIES)},"bbox":[{x}.25,{y}.5,30.75,24.5],"area":512.5,'
                f'"iscrowd":0,"segmentation":[[{polygon}]]}}'
            )
        names = ",".join(f'{{"id":{number},"name":"class {number}"}}' for number in CATEGORIES)
        file.write(f'], "categories": [{names}]}}')


def plan_seconds(folder: Path) -> tuple[float, float, str]:
    """Wall and processor seconds of the command, and what it printed."""
    processor, wall, printed = command_seconds(
        folder, "plan", str(SUITE), "--results", "results", SOBENCH_DATA=str(folder)
    )
    return wall, processor, printed


@click.command()
@click.option("--images", default=118_287, help="Of the training split.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to make and keep the set in.")
def main(images: int, keep: Path | None) -> None:
    """Print the seconds of `sobench plan` on a new set and on a known one."""
    with tempfile.TemporaryDirectory() as place:
        folder = keep or Path(place)
        chance = random.Random(0)
        if not (folder / "coco").exists():
            for name, count in (("train", images), ("val", max(1, images // 24))):
                write_split(folder / "coco", name, count, chance)
        wall, used, printed = plan_seconds(folder)
        click.echo(f"new:   {wall:6.2f} s, {used:6.2f} s of the processor")
        os.environ |= {"SOBENCH_DATA": str(folder), "SOBENCH_CACHE": str(folder / "cache")}
        fingerprint(load(SUITE).dataset)
        plan_seconds(folder)
        wall, used, printed = plan_seconds(folder)
        click.echo(f"known: {wall:6.2f} s, {used:6.2f} s of the processor")
        click.echo(printed)


if __name__ == "__main__":
    main()
