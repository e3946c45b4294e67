"""What ``sobench score`` takes for a million detections, against a file and into a suite.

Run with ``python -m tests.benchmarks.score``; ``--copies 7`` makes a file of a gigabyte, in which
the same rows stand for other images. The second call with a suite finds the intervals that the
first one kept. Where other work runs beside it, only the seconds of the processor tell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml
from PIL import Image

from tests.tiny_suite import CONTENT

CLASSES = 80
WIDTH, HEIGHT = 640, 480
_COMMAND = [sys.executable, "-m", "sobench", "score", "detections.json"]


@click.command()
@click.option("--images", default=5000)
@click.option("--objects", default=50, help="Of an image.")
@click.option("--detections", default=200, help="Of an image.")
@click.option("--copies", default=1, help="Of the images, each with the same rows.")
@click.option("--suite/--no-suite", default=True, help="Whether to enter them into a suite, too.")
def main(images: int, objects: int, detections: int, copies: int, suite: bool) -> None:
    """Print seconds and memory of each command."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Elsewhere, since the memory of this process would count as that of those it starts.
        write = get_context("spawn").Process(
            target=write_files, args=(folder, images, objects, detections, copies, suite)
        )
        write.start()
        write.join()
        size = (folder / "detections.json").stat().st_size / 1e6
        rows = images * detections * copies
        click.echo(f"{rows} detections, {images * objects * copies} objects, {size:.0f} MB")
        measure(folder, "--truth", "val.json")
        if suite:
            measure(folder, "--suite", "suite.yaml", "--label", "other")
            measure(folder, "--suite", "suite.yaml", "--label", "other")


def write_files(
    folder: Path, images: int, objects: int, detections: int, copies: int, suite: bool
) -> None:
    """``val.json``, ``detections.json`` and, with a suite, ``suite.yaml`` and the images."""
    random = np.random.default_rng(0)
    boxes = draw_boxes(random, images * objects)
    labels = random.integers(0, CLASSES, len(boxes))
    entries = [
        {"id": number, "file_name": f"{number:09}.png", "width": WIDTH, "height": HEIGHT}
        for number in range(images * copies)
    ]
    annotations = [
        {"id": number, "image_id": number // objects, "category_id": label, "bbox": box,
         "area": box[2] * box[3], "iscrowd": 0}
        for number, (box, label) in enumerate(
            zip(boxes.round(2).tolist() * copies, labels.tolist() * copies, strict=True)
        )
    ]  # fmt: skip
    categories = [{"id": number, "name": f"class {number}"} for number in range(CLASSES)]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    (folder / "val.json").write_text(json.dumps(content))
    lines = draw_detections(random, boxes, labels, images, detections)
    with (folder / "detections.json").open("w") as file:
        for copy in range(copies):
            file.write("[" if copy == 0 else ", ")
            file.write(
                ", ".join(f'{{"image_id": {image + copy * images}, {row}' for image, row in lines)
            )
        file.write("]")
    if suite:
        write_suite(folder, entries)


def write_suite(folder: Path, entries: list[dict[str, Any]]) -> None:
    """A suite whose images are links to one file."""
    (folder / "val").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "image.png")
    for entry in entries:
        os.link(folder / "image.png", folder / "val" / entry["file_name"])
    data = {"format": "coco", "root": ".", "train": "val.json", "train_images": "val"}
    data |= {"val": "val.json", "val_images": "val"}
    suite = CONTENT | {"name": "large", "dataset": data, "protocol": "coco"}
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))


def draw_boxes(random: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    """``[count, 4]`` ``x, y, w, h`` inside the image, half of them below 24 px."""
    size = np.exp(random.normal(np.log(24), 0.6, (count, 2))).clip(4, 300)
    corner = random.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - size)
    return np.concatenate([corner, size], axis=1)


def draw_detections(
    random: np.random.Generator,
    boxes: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    images: int,
    detections: int,
) -> list[tuple[int, str]]:
    """The image of each detection, and what follows in its row.

    As many as there are objects are shifted objects; the others are drawn like objects.
    """
    objects = len(boxes) // images
    others = images * (detections - objects)
    shift = random.normal(0, 0.12, boxes.shape) * boxes[:, [2, 3, 2, 3]]
    drawn = np.concatenate([boxes + shift, draw_boxes(random, others)])
    drawn[:, 2:] = np.abs(drawn[:, 2:])
    classes = np.concatenate([labels, random.integers(0, CLASSES, others)])
    scores = np.concatenate([random.beta(4, 3, len(boxes)), random.beta(1, 8, others)])
    image = np.concatenate(
        [np.arange(len(boxes)) // objects, np.arange(others) // (detections - objects)]
    )
    order = np.lexsort((-scores, image))
    columns = (classes[order].tolist(), drawn[order].tolist(), scores[order].tolist())
    rows = (
        f'"category_id": {label}, "bbox": {box}, "score": {score}}}'
        for label, box, score in zip(*columns, strict=True)
    )
    return list(zip(image[order].tolist(), rows, strict=True))


def measure(folder: Path, *arguments: str) -> None:
    """Run the command in a process of its own, and print what it took."""
    paths = {"PYTHONPATH": str(Path.cwd()), "SOBENCH_CACHE": str(folder / "cache")}
    started = time.perf_counter()
    process = subprocess.Popen(
        [*_COMMAND, *arguments], cwd=folder, env=os.environ | paths, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"sobench score {' '.join(arguments)} failed")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 2**10) / 1e6
    click.echo(
        f"{arguments[0]}: {usage.ru_utime:.1f} s user and {usage.ru_stime:.1f} s system of a "
        f"processor, {wall:.1f} s in all, {peak:.0f} MB at most"
    )


if __name__ == "__main__":
    main()
