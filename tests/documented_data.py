"""Small data sets in the layouts that ``docs/datasets.md`` draws: one image and object a split."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from sobench.data.formats import tt100k

SIZE = (64, 48)
SPLITS = ("train", "val")
CLASSES = ["car", "ship"]


def draw(path: Path) -> None:
    """An image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE).save(path)


def write(path: Path, text: str) -> None:
    """A text file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_coco(root: Path) -> None:
    """``train.json``, ``val.json`` and ``images``."""
    for split in SPLITS:
        draw(root / "images" / f"{split}.jpg")
        content = {
            "images": [{"id": 1, "file_name": f"{split}.jpg", "width": SIZE[0], "height": SIZE[1]}],
            "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES, 1)],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 16, 12], "iscrowd": 0}
            ],
        }
        write(root / f"{split}.json", json.dumps(content))


def write_yolo(root: Path) -> None:
    """``data.yaml``, ``images/SPLIT`` and ``labels/SPLIT``."""
    write(root / "data.yaml", f"train: images/train\nval: images/val\nnames: {CLASSES}\n")
    for split in SPLITS:
        draw(root / "images" / split / "a.jpg")
        write(root / "labels" / split / "a.txt", "0 0.5 0.5 0.2 0.2\n")


def write_voc(root: Path) -> None:
    """``JPEGImages``, ``Annotations`` and ``ImageSets/Main``."""
    corners = "<xmin>9</xmin><ymin>9</ymin><xmax>24</xmax><ymax>20</ymax>"
    item = f"<object><name>car</name><difficult>0</difficult><bndbox>{corners}</bndbox></object>"
    for split in SPLITS:
        draw(root / "JPEGImages" / f"{split}.jpg")
        write(root / "Annotations" / f"{split}.xml", f"<annotation>{item}</annotation>")
        write(root / "ImageSets" / "Main" / f"{split}.txt", f"{split}\n")


def write_visdrone(root: Path) -> None:
    """``VisDrone2019-DET-SPLIT`` with ``images`` and ``annotations``."""
    for split in SPLITS:
        folder = root / f"VisDrone2019-DET-{split}"
        draw(folder / "images" / "a.jpg")
        write(folder / "annotations" / "a.txt", "8,8,16,12,1,4,0,0\n")


def write_tt100k(root: Path) -> None:
    """``annotations.json``, ``train`` and ``test``."""
    corners = {"xmin": 8, "ymin": 8, "xmax": 24, "ymax": 20}
    images = {}
    for number, split in enumerate(("train", "test"), 1):
        draw(root / split / f"{number}.jpg")
        write(root / split / "ids.txt", f"{number}\n")
        sign = {"category": "pl30", "bbox": corners}
        images[str(number)] = {"path": f"{split}/{number}.jpg", "id": number, "objects": [sign]}
    write(root / "annotations.json", json.dumps({"types": tt100k.CLASSES, "imgs": images}))


WRITERS = {
    "coco": ("my_data", write_coco),
    "yolo": ("my_data", write_yolo),
    "voc": ("my_data", write_voc),
    "visdrone": ("VisDrone", write_visdrone),
    "tt100k": ("tt100k", write_tt100k),
}
"""Format -> folder in the docs, and the function that fills it."""
