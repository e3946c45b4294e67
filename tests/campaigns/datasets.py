"""A small data set in every layout, as files in memory that can be damaged before they are written.

A file is bytes, the rows of a text, a tree of JSON, XML, or a ``Special``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.campaigns import hostile

WIDTH, HEIGHT = 32, 24
CLASSES = ["car", "ship", "tram"]
SPLITS = {"train": (1, 2, 3), "val": (4, 5)}
BOXES = ((2, 3, 6, 5), (12, 8, 9, 9), (20, 2, 4, 12))
"""Left, top, width, height."""


@dataclass(frozen=True)
class Tree:
    """The content of a JSON file, or of a YAML file that is written as JSON."""

    content: Any


@dataclass(frozen=True)
class Rows:
    """The text of a file of rows, and what separates their cells."""

    text: str
    separator: str


@dataclass(frozen=True)
class Xml:
    """The text of an XML file."""

    text: str


@dataclass(frozen=True)
class Special:
    """Something that is not a file: made by a function of its path."""

    make: Callable[[Path], None]


Content = bytes | Tree | Rows | Xml | Special
Files = dict[str, Content]


@cache
def picture(number: int) -> bytes:
    """A PNG of noise, different for every number."""
    generator = np.random.default_rng(number)
    pixels = generator.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def coco() -> tuple[dict[str, Any], Files]:
    """The keys of ``dataset`` and the files."""
    files: Files = {}
    for split, numbers in SPLITS.items():
        images = [
            {"id": n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in numbers
        ]
        boxes = [(n, k, box) for n in numbers for k, box in enumerate(BOXES)]
        rows = [
            {"id": i, "image_id": n, "category_id": k + 1, "bbox": list(box), "iscrowd": 0,
             "area": box[2] * box[3]}
            for i, (n, k, box) in enumerate(boxes, 1)
        ]  # fmt: skip
        categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES, 1)]
        files[f"{split}.json"] = Tree(
            {"images": images, "categories": categories, "annotations": rows}
        )
        files |= {f"images/{n}.png": picture(n) for n in numbers}
    return {"format": "coco", "train": "train.json", "val": "val.json"}, files


def visdrone() -> tuple[dict[str, Any], Files]:
    """As ``coco``."""
    files: Files = {}
    for split, numbers in SPLITS.items():
        for n in numbers:
            rows = [f"{x},{y},{w},{h},1,{k + 3},0,0" for k, (x, y, w, h) in enumerate(BOXES)]
            text = "\n".join([*rows, "1,1,5,5,0,0,0,0", "9,9,5,5,1,11,0,0"])
            files[f"{split}/annotations/{n}.txt"] = Rows(text, ",")
            files[f"{split}/images/{n}.png"] = picture(n)
    return {"format": "visdrone", "train": "train", "val": "val"}, files


def voc() -> tuple[dict[str, Any], Files]:
    """As ``coco``."""
    files: Files = {}
    for split, numbers in SPLITS.items():
        files[f"ImageSets/Main/{split}.txt"] = Rows("\n".join(map(str, numbers)), " ")
        for n in numbers:
            items = [
                f"<object><name>{name}</name><difficult>{k // 2}</difficult><bndbox>"
                f"<xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
                "</bndbox></object>"
                for k, (name, (x, y, w, h)) in enumerate(zip(CLASSES, BOXES, strict=True))
            ]
            size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
            head = f"<filename>{n}.png</filename>{size}"
            files[f"Annotations/{n}.xml"] = Xml(f"<annotation>{head}{''.join(items)}</annotation>")
            files[f"JPEGImages/{n}.png"] = picture(n)
    return {"format": "voc", "classes": CLASSES}, files


def yolo() -> tuple[dict[str, Any], Files]:
    """As ``coco``."""
    config = {"train": "images/train", "val": "images/val", "nc": 3, "names": CLASSES}
    files: Files = {"data.yaml": Tree(config)}
    for split, numbers in SPLITS.items():
        for n in numbers:
            rows = [
                f"{k} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT}"
                for k, (x, y, w, h) in enumerate(BOXES)
            ]
            text = "\n".join([*rows, "1 0.1 0.1 0.4 0.1 0.3 0.5"])
            files[f"labels/{split}/{n}.txt"] = Rows(text, " ")
            files[f"images/{split}/{n}.png"] = picture(n)
    return {"format": "yolo"}, files


def tt100k() -> tuple[dict[str, Any], Files]:
    """As ``coco``."""
    files: Files = {}
    images = {}
    for split, numbers in SPLITS.items():
        folder = "test" if split == "val" else split
        files[f"{folder}/ids.txt"] = Rows("\n".join(map(str, numbers)), " ")
        for n in numbers:
            signs = [
                {"category": name, "bbox": {"xmin": x, "ymin": y, "xmax": x + w, "ymax": y + h}}
                for name, (x, y, w, h) in zip([*CLASSES[:2], "other"], BOXES, strict=True)
            ]
            images[str(n)] = {"path": f"{folder}/{n}.png", "id": n, "objects": signs}
            files[f"{folder}/{n}.png"] = picture(n)
    files["annotations.json"] = Tree({"types": [*CLASSES, "other"], "imgs": images})
    return {"format": "tt100k", "classes": CLASSES}, files


LAYOUTS = {"coco": coco, "visdrone": visdrone, "voc": voc, "yolo": yolo, "tt100k": tt100k}


def write(root: Path, files: Files) -> None:
    """Write the files as far as the file system takes them: not every name can be one."""
    for name, content in files.items():
        try:
            path = root / hostile.file_name(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Special):
                content.make(path)
            else:
                path.write_bytes(to_bytes(content))
        except (OSError, ValueError):
            continue


def to_bytes(content: bytes | Tree | Rows | Xml) -> bytes:
    """The bytes of a file."""
    if isinstance(content, Tree):
        return hostile.to_bytes(hostile.to_json(content.content))
    return content if isinstance(content, bytes) else hostile.to_bytes(content.text)
