"""The same two small images in every layout on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from sobench.suite.datasets import CocoData, DataSpec, Tt100kData, VisDroneData, VocData, YoloData


def coco_at(root: Path, boxes: bool = True) -> CocoData:
    """Train and val with one 8x6 image each."""
    for split in ("train", "val"):
        row = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [1, 1, 3, 3]}
        content: dict[str, Any] = {
            "images": [{"id": 5, "file_name": f"{split}.png", "width": 8, "height": 6}],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [row] if boxes else [],
        }
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / f"{split}.json").write_text(json.dumps(content))
        Image.new("RGB", (8, 6)).save(root / "images" / f"{split}.png")
    return CocoData(format="coco", root=str(root), train="train.json", val="val.json")


def visdrone_at(root: Path) -> VisDroneData:
    for split in ("train", "val"):
        for name in ("images", "annotations"):
            (root / split / name).mkdir(parents=True)
        (root / split / "annotations" / "a.txt").write_text("1,1,3,3,1,4,0,0\n")
        Image.new("RGB", (8, 6)).save(root / split / "images" / "a.jpg")
    return VisDroneData(format="visdrone", root=str(root), train="train", val="val")


def voc_at(root: Path) -> VocData:
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax>"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for split in ("train", "val"):
        (root / "Annotations" / f"{split}1.xml").write_text(
            "<annotation><size><width>8</width><height>6</height></size>"
            f"<object><name>dog</name><bndbox>{corners}</bndbox></object></annotation>"
        )
        Image.new("RGB", (8, 6)).save(root / "JPEGImages" / f"{split}1.jpg")
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split}1\n")
    return VocData(format="voc", root=str(root))


def yolo_at(root: Path) -> YoloData:
    for split in ("train", "val"):
        for name in ("images", "labels"):
            (root / name / split).mkdir(parents=True)
        Image.new("RGB", (8, 6)).save(root / "images" / split / "a.png")
        (root / "labels" / split / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    config = {"path": str(root), "train": "images/train", "val": "images/val", "names": ["car"]}
    (root / "data.yaml").write_text(yaml.safe_dump(config))
    return YoloData(format="yolo", root=str(root))


def tt100k_at(root: Path) -> Tt100kData:
    corners = {"xmin": 1, "ymin": 1, "xmax": 4, "ymax": 4}
    images = {}
    for key, split in (("1", "train"), ("2", "test")):
        (root / split).mkdir(parents=True)
        (root / split / "ids.txt").write_text(f"{key}\n")
        Image.new("RGB", (8, 6)).save(root / split / f"{key}.jpg")
        sign = {"category": "wo", "bbox": corners}
        images[key] = {"path": f"{split}/{key}.jpg", "objects": [sign]}
    (root / "annotations.json").write_text(json.dumps({"imgs": images, "types": ["wo"]}))
    return Tt100kData(format="tt100k", root=str(root), classes=("wo",))


MAKERS: dict[str, Callable[[Path], DataSpec]] = {
    "coco": coco_at,
    "visdrone": visdrone_at,
    "voc": voc_at,
    "yolo": yolo_at,
    "tt100k": tt100k_at,
}
