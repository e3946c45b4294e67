"""A small split, detections on it, and the same detections in every layout."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from sobench.data.dataset import Dataset
from sobench.metrics.detections import DetectionRow
from tests.metrics.scoring_cases import annotated, dataset_of

CLASSES = ("car", "bus", "awning-tricycle")
IDS = (1, 2, 5)
SIZE = (640, 480)


def split(images: int = 6) -> Dataset:
    """Images ``day/a_10.jpg`` and so on with ids 10, 20 and so on; the last one has no object."""
    random = np.random.default_rng(0)
    drawn = []
    for number in range(1, images + 1):
        objects = []
        for label in range(len(CLASSES) if number < images else 0):
            x, y, w, h = random.integers((10, 10, 12, 12), (560, 400, 60, 60)).tolist()
            objects.append((label, (float(x), float(y), float(w), float(h))))
        image = annotated(10 * number, objects)
        width, height = SIZE
        drawn.append(replace(image, name=f"day/a_{10 * number}.jpg", width=width, height=height))
    return dataset_of(*drawn, classes=CLASSES, category_ids=IDS)


def detections(dataset: Dataset) -> list[DetectionRow]:
    """One near every object, and a false one; the last image has none."""
    random = np.random.default_rng(1)
    rows: list[DetectionRow] = []
    for image in dataset.images:
        for box, label in zip(image.boxes, image.labels, strict=True):
            for place in (box, box + np.array([40.0, 0.0, 40.0, 0.0])):
                x1, y1, x2, y2 = place + random.integers(-2, 3, 4)
                rows.append(
                    {
                        "image_id": image.id,
                        "category_id": IDS[label],
                        "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                        "score": round(random.uniform(0.05, 0.95), 4),
                    }
                )
    return rows


def write_coco(folder: Path, dataset: Dataset, rows: list[DetectionRow]) -> Path:
    del dataset
    path = folder / "rows.bbox.json"
    path.write_text(json.dumps([{**row, "id": 7, "segmentation": [[1, 2]]} for row in rows]))
    return path


def write_packed(folder: Path, dataset: Dataset, rows: list[DetectionRow]) -> Path:
    path = folder / "rows.json.gz"
    path.write_bytes(gzip.compress(write_coco(folder, dataset, rows).read_bytes()))
    return path


def write_named(folder: Path, dataset: Dataset, rows: list[DetectionRow]) -> Path:
    """Names in place of ids, as Ultralytics writes those of images."""
    path = folder / "predictions.json"
    named = [
        {
            "image_id": Path(_name(dataset, row)).stem,
            "file_name": Path(_name(dataset, row)).name,
            "category_id": CLASSES[IDS.index(row["category_id"])],
            "bbox": row["bbox"],
            "score": row["score"],
        }
        for row in rows
    ]
    path.write_text(json.dumps(named, indent=1))
    return path


def write_visdrone(folder: Path, dataset: Dataset, rows: list[DetectionRow]) -> Path:
    return _by_image(
        folder / "visdrone", dataset, rows,
        lambda row: ",".join(
            map(str, [*row["bbox"], row["score"], row["category_id"], -1, -1])
        ),
    )  # fmt: skip


def write_yolo(folder: Path, dataset: Dataset, rows: list[DetectionRow]) -> Path:
    width, height = SIZE

    def line(row: DetectionRow) -> str:
        x, y, w, h = row["bbox"]
        fractions = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
        return " ".join(map(repr, [IDS.index(row["category_id"]), *fractions, row["score"]]))

    return _by_image(folder / "labels", dataset, rows, line)


def write_voc(folder: Path, dataset: Dataset, rows: list[DetectionRow]) -> Path:
    return _by_image(
        folder / "voc", dataset, rows,
        lambda row: f"{CLASSES[IDS.index(row['category_id'])]} {_from_one(row)}",
    )  # fmt: skip


def write_devkit(folder: Path, dataset: Dataset, rows: list[DetectionRow]) -> Path:
    place = folder / "Main"
    place.mkdir()
    for number, name in zip(IDS, CLASSES, strict=True):
        lines = [
            f"{Path(_name(dataset, row)).stem} {_from_one(row)}"
            for row in rows
            if row["category_id"] == number
        ]
        (place / f"comp4_det_test_{name}.txt").write_text("\n".join(lines) + "\n")
    return place


def write_csv(folder: Path, dataset: Dataset, rows: list[DetectionRow]) -> Path:
    path = folder / "rows.csv"
    lines = ["image_name,Category,conf,xmin,ymin,xmax,ymax,extra"]
    for row in rows:
        x, y, w, h = row["bbox"]
        name = CLASSES[IDS.index(row["category_id"])]
        cells = [_name(dataset, row), name, row["score"], x, y, x + w, y + h, "?"]
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")
    return path


Write = Callable[[Path, Dataset, list[DetectionRow]], Path]

WRITERS: dict[str, tuple[str, Write]] = {
    # name of the case: layout, what writes it
    "coco": ("coco", write_coco),
    "coco packed": ("coco", write_packed),
    "coco with names": ("coco", write_named),
    "visdrone": ("visdrone", write_visdrone),
    "yolo": ("yolo", write_yolo),
    "voc": ("voc", write_voc),
    "voc-devkit": ("voc-devkit", write_devkit),
    "csv": ("csv", write_csv),
}


def _by_image(
    place: Path, dataset: Dataset, rows: list[DetectionRow], line: Callable[[DetectionRow], str]
) -> Path:
    """A text file for every image, empty for one without detections."""
    lines: defaultdict[int, list[str]] = defaultdict(list)
    for row in rows:
        lines[row["image_id"]].append(line(row))
    place.mkdir()
    for image in dataset.images:
        text = "".join(f"{row}\n" for row in lines[image.id])
        (place / f"{Path(image.name).stem}.txt").write_text(text)
    return place


def _name(dataset: Dataset, row: DetectionRow) -> str:
    return next(image.name for image in dataset.images if image.id == row["image_id"])


def _from_one(row: DetectionRow) -> str:
    x, y, w, h = row["bbox"]
    return f"{row['score']} {x + 1} {y + 1} {x + w} {y + h}"


def write_data(root: Path, dataset: Dataset) -> None:
    """The split as the val split of COCO data below ``root``, with a training image."""
    root.mkdir()
    categories = [{"id": n, "name": name} for n, name in zip(IDS, CLASSES, strict=True)]
    width, height = SIZE
    val = [
        {"id": x.id, "file_name": x.name, "width": width, "height": height} for x in dataset.images
    ]
    boxes = [
        (image.id, IDS[label], [*box[:2], *(box[2:] - box[:2])])
        for image in dataset.images
        for box, label in zip(image.boxes, image.labels, strict=True)
    ]
    train = [{"id": 1, "file_name": "train.jpg", "width": width, "height": height}]
    of_train = [(1, number, [10.0, 10.0, 20.0, 20.0]) for number in IDS]
    for name, images, objects in (("train", train, of_train), ("val", val, boxes)):
        annotations = [
            {"id": i, "image_id": image, "category_id": number, "bbox": box, "iscrowd": 0}
            for i, (image, number, box) in enumerate(objects, 1)
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"{name}.json").write_text(json.dumps(content))
        for image in images:  # nothing here looks at the pixels
            file = root / "images" / str(image["file_name"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(image["file_name"]))
