"""COCO JSON: each split has one annotation file and one image folder."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sobench.data.annotations import (
    AnnotatedBox,
    Box,
    ReadReport,
    Split,
    read_json,
    to_annotated_image,
)
from sobench.data.dataset import AnnotatedImage, Dataset, Size
from sobench.data.images import ImageFiles
from sobench.errors import DataError
from sobench.suite.datasets import CocoData

CROWDS = "crowd regions, ignored for their class"
LARGE = "objects of max_area and more, background on the images kept"
WITHOUT_SMALL = "images without an object below max_area, left out"


def sources(root: Path, spec: CocoData, split: Split) -> tuple[list[Path], list[Path]]:
    """The annotation file and the image folder of a split; neither has to exist."""
    if split == "train":
        return [root / spec.train], [root / spec.train_images]
    return [root / spec.val], [root / spec.val_images]


def identity(_root: Path, spec: CocoData) -> tuple[str, ...]:
    """The limit of a subset of small objects, if there is one."""
    # The image cache goes by fingerprint and number of images; subsets may be of equal size.
    return () if spec.max_area is None else (f"max_area {spec.max_area!r}",)


def read(root: Path, spec: CocoData, split: Split) -> Dataset:
    """Read one annotation file; the image files are not opened.

    Labels follow the order of the file's ``categories``; image and category ids are kept. A crowd
    becomes an ignore region of its class. Sizes are those that the file states.

    With ``spec.max_area``, larger objects are left out and thereby become background. Images
    without a smaller object are left out too, even if they have crowds; on the other images, crowds
    of any size stay.

    Raises:
        DataError: the file is missing, is not COCO JSON, contradicts itself, or has no small
            object.
    """
    (file,), (folder,) = sources(root, spec, split)
    content = _content(file)
    classes = _categories(content["categories"], file)
    labels = {category: label for label, category in enumerate(classes)}
    image_files = _images(content["images"], file)
    all_boxes: defaultdict[int, list[AnnotatedBox]] = defaultdict(list)
    for position, entry in enumerate(content["annotations"]):
        image_id, box = _annotated_box(entry, position, image_files, labels, file)
        all_boxes[image_id].append(box)

    # A subset is made before the boxes are checked, so the report is about the subset alone.
    boxes = all_boxes if spec.max_area is None else _small(all_boxes, spec.max_area)
    report = ReadReport()
    images = tuple(
        to_annotated_image(image_id, name, size, boxes.get(image_id, ()), file, report)
        for image_id, (name, size) in image_files.items()
    )
    if spec.max_area is not None:
        images = _images_with_objects(images, file, spec.max_area, report.notes)
    _count(images, all_boxes, boxes, report.notes)
    return Dataset(
        title=f"COCO {spec.train if split == 'train' else spec.val}",
        classes=tuple(classes.values()),
        category_ids=tuple(classes),
        images=images,
        read_image=ImageFiles.of(images, folder),
        skipped=tuple(report.skipped),
        notes=report.notes,
    )


def _content(file: Path) -> dict[str, list[Any]]:
    content = read_json(file, "the dataset's root or its train and val")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"{file}: has no list {key!r}; give a COCO annotation file")
    for key in ("images", "categories"):
        if not content[key]:
            raise DataError(f"{file}: lists no {key}; give a file with at least one")
    return {key: content[key] for key in ("images", "annotations", "categories")}


def _categories(entries: list[Any], file: Path) -> dict[int, str]:
    """Category id -> name, in the order of the file."""
    classes: dict[int, str] = {}
    for position, entry in enumerate(entries):
        where = f"{file}, categories[{position}]"
        number, name = _entry(entry, where, "id"), _entry(entry, where, "name")
        if not _whole(number) or not isinstance(name, str):
            raise DataError(
                f"{where}: id {number!r} and name {name!r} are not a whole number and a text; "
                "correct them"
            )
        if number in classes:
            raise DataError(f"{where}: id {number} is used twice; number the categories anew")
        classes[number] = name
    return classes


def _images(entries: list[Any], file: Path) -> dict[int, tuple[str, Size]]:
    """Image id -> file name and size (height, width)."""
    images: dict[int, tuple[str, Size]] = {}
    for position, entry in enumerate(entries):
        where = f"{file}, images[{position}]"
        number, name, width, height = (
            _entry(entry, where, key) for key in ("id", "file_name", "width", "height")
        )
        if not _whole(number):
            raise DataError(f"{where}: id {number!r} is not a whole number; number the images anew")
        if number in images:
            raise DataError(f"{where}: image id {number} is used twice; remove one of the two")
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: file_name {name!r} is not a text; correct or remove the row")
        if not _whole(width) or not _whole(height) or min(width, height) < 1:
            raise DataError(
                f"{where}: width {width!r} and height {height!r} are not a size in pixels; "
                "correct or remove the row"
            )
        images[number] = name, (height, width)
    return images


def _annotated_box(
    annotation: Any, position: int, images: dict[int, Any], labels: dict[int, int], file: Path
) -> tuple[int, AnnotatedBox]:
    """Image id and box of one annotation."""
    where = f"annotations[{position}]"
    if isinstance(annotation, dict) and "id" in annotation:
        where = f"annotation {annotation['id']}"
    place = f"{file}, {where}"
    image_id = _entry(annotation, place, "image_id")
    if not _whole(image_id) or image_id not in images:
        raise DataError(
            f"{place}: image_id {image_id!r} is not among the {len(images)} images of the file; "
            "add the image or remove the annotation"
        )
    category = _entry(annotation, place, "category_id")
    if not _whole(category) or category not in labels:
        raise DataError(
            f"{place}: category_id {category!r} is not among the {len(labels)} categories of the "
            f"file ({min(labels)}..{max(labels)}); correct it or remove the annotation"
        )
    box = _box(_entry(annotation, place, "bbox"), place)
    area = annotation.get("area")
    if area is not None and not (_number(area) and area >= 0):
        raise DataError(f"{place}: area is {area!r}; write square pixels or leave it out")
    crowd = annotation.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"{place}: iscrowd is {crowd!r}; write 0 or 1")
    return image_id, AnnotatedBox(where, box, labels[category], bool(crowd), area)


def _small(
    boxes: Mapping[int, Sequence[AnnotatedBox]], max_area: float
) -> dict[int, list[AnnotatedBox]]:
    """Image id -> its crowds, and its objects whose box is smaller than ``max_area``."""

    def stays(box: AnnotatedBox) -> bool:
        x1, y1, x2, y2 = box.box
        return box.ignore or (x2 - x1) * (y2 - y1) < max_area

    return {image_id: list(filter(stays, of_image)) for image_id, of_image in boxes.items()}


def _images_with_objects(
    images: Sequence[AnnotatedImage], file: Path, max_area: float, notes: Counter[str]
) -> tuple[AnnotatedImage, ...]:
    """The images that have an object."""
    images_with_objects = tuple(image for image in images if len(image.boxes))
    if not images_with_objects:
        raise DataError(
            f"{file}: has no object whose box is smaller than dataset.max_area, {max_area:g} "
            "square pixels; write a larger one or leave it out"
        )
    if len(images_with_objects) < len(images):
        notes[WITHOUT_SMALL] += len(images) - len(images_with_objects)
    return images_with_objects


def _count(
    images: Sequence[AnnotatedImage],
    all_boxes: Mapping[int, Sequence[AnnotatedBox]],
    boxes: Mapping[int, Sequence[AnnotatedBox]],
    notes: Counter[str],
) -> None:
    """Note the number of crowds on these images, and of boxes that the subset leaves out."""
    for image in images:
        of_image = boxes.get(image.id, ())
        notes[CROWDS] += sum(box.ignore for box in of_image)
        notes[LARGE] += len(all_boxes.get(image.id, ())) - len(of_image)
    for note in (CROWDS, LARGE):
        if not notes[note]:
            del notes[note]


def _box(box: Any, place: str) -> Box:
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(
            f"{place}: bbox {box!r} is not [x, y, width, height]; correct or remove the annotation"
        )
    if not all(map(_number, box)):
        raise DataError(
            f"{place}: bbox {box!r} must hold finite numbers only; correct or remove the annotation"
        )
    x, y, width, height = box
    return x, y, x + width, y + height


def _entry(entry: Any, place: str, key: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise DataError(f"{place}: has no {key!r}; add it or remove the row")
    return entry[key]


def _whole(value: object) -> bool:
    return type(value) is int


def _number(value: object) -> bool:
    # A type test, because true and false are integers to Python.
    return type(value) is int or (type(value) is float and math.isfinite(value))
