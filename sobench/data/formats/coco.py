"""COCO JSON: each split has one annotation file and one image folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sobench.data.annotation_files import is_number, is_whole, read_json, shown
from sobench.data.annotations import (
    LARGEST_SIDE,
    AnnotatedBox,
    Box,
    ReadReport,
    Split,
    check_class_names,
    check_inside,
    outside_files,
    to_annotated_image,
)
from sobench.data.dataset import AnnotatedImage, Dataset, Size
from sobench.data.images import ImageFiles
from sobench.errors import DataError
from sobench.suite.datasets import CocoData

CROWDS = "crowd regions, ignored for their class"
SAME_ID = "annotations repeated under the same id, counted once"
LARGE = "objects of max_area and more, background on the images kept"
WITHOUT_SMALL = "images without an object below max_area, left out"


def sources(root: Path, spec: CocoData, split: Split) -> tuple[list[Path], list[Path]]:
    """The annotation file of a split and its image folder, with the images outside of it, if any.

    Raises:
        DataError: images may be outside, but the annotation file that names them is missing or
            malformed.
    """
    file, folder = _places(root, spec, split)
    if not spec.outside_root:
        return [file], [folder]
    names = [name for name, _ in _images(_content(file)["images"], file).values()]
    return [file], [folder, *outside_files(names, folder)]


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
    file, folder = _places(root, spec, split)
    content = _content(file)
    classes = _categories(content["categories"], file)
    labels = {category: label for label, category in enumerate(classes)}
    image_files = _images(content["images"], file)
    # The fingerprint covers the folder alone, unless images may be elsewhere.
    allowed = () if spec.outside_root else (folder,)
    for position, (name, _) in enumerate(image_files.values()):
        check_inside(name, folder, allowed, f"{file}, images[{position}]: file_name")
    report = ReadReport()
    all_boxes = _annotated_boxes(content["annotations"], image_files, labels, file, report)

    # A subset is made before the boxes are checked, so the report is about the subset alone.
    boxes = all_boxes if spec.max_area is None else _small(all_boxes, spec.max_area)
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


def read_image_sizes(root: Path, spec: CocoData, split: Split) -> tuple[list[Size], int]:
    """The (height, width) of every image of a split, and the number of its annotations.

    They are those of ``read`` unless ``spec.max_area`` makes a subset; no annotation is checked.

    Raises:
        DataError: the file is missing, or its images are malformed.
    """
    file, _ = _places(root, spec, split)
    content = _content(file)
    sizes = [size for _, size in _images(content["images"], file).values()]
    return sizes, len(content["annotations"])


def _places(root: Path, spec: CocoData, split: Split) -> tuple[Path, Path]:
    """The annotation file and the image folder of a split; neither has to exist."""
    if split == "train":
        return root / spec.train, root / spec.train_images
    return root / spec.val, root / spec.val_images


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
        if not is_whole(number) or not isinstance(name, str):
            raise DataError(
                f"{where}: id {shown(number)} and name {shown(name)} are not a whole number "
                "of 64 bits and a text; correct them"
            )
        if number in classes:
            raise DataError(f"{where}: id {number} is used twice; number the categories anew")
        classes[number] = name
    check_class_names(classes.values(), f"{file}, categories")
    return classes


def _images(entries: list[Any], file: Path) -> dict[int, tuple[str, Size]]:
    """Image id -> file name and size (height, width)."""
    images: dict[int, tuple[str, Size]] = {}
    for position, entry in enumerate(entries):
        where = f"{file}, images[{position}]"
        number, name, width, height = (
            _entry(entry, where, key) for key in ("id", "file_name", "width", "height")
        )
        if not is_whole(number):
            raise DataError(
                f"{where}: id {shown(number)} is not a whole number of 64 bits; "
                "number the images anew"
            )
        if number in images:
            raise DataError(f"{where}: image id {number} is used twice; remove one of the two")
        if not isinstance(name, str) or not name:
            raise DataError(
                f"{where}: file_name {shown(name)} is not a text; correct or remove the row"
            )
        if (
            not is_whole(width)
            or not is_whole(height)
            or not 1 <= min(width, height) <= max(width, height) <= LARGEST_SIDE
        ):
            raise DataError(
                f"{where}: width {shown(width)} and height {shown(height)} are not a size in "
                "pixels; correct or remove the row"
            )
        images[number] = name, (height, width)
    return images


def _annotated_boxes(
    entries: list[Any],
    images: dict[int, Any],
    labels: dict[int, int],
    file: Path,
    report: ReadReport,
) -> dict[int, list[AnnotatedBox]]:
    """Image id -> boxes, each annotation id once."""
    boxes: defaultdict[int, list[AnnotatedBox]] = defaultdict(list)
    seen: dict[int, tuple[int, AnnotatedBox]] = {}
    for position, entry in enumerate(entries):
        image_id, box = _annotated_box(entry, position, images, labels, file)
        number = entry.get("id")
        # Without ids, or with those of other types, nothing tells a repetition.
        if is_whole(number):
            earlier = seen.setdefault(number, (image_id, box))
            if earlier != (image_id, box):
                raise DataError(
                    f"{file}, annotation {number}: the id is used by two different annotations "
                    f"(here annotations[{position}]); number the annotations anew or leave ids out"
                )
            if earlier[1] is not box:
                report.notes[SAME_ID] += 1
                continue
        boxes[image_id].append(box)
    return boxes


def _annotated_box(
    annotation: Any, position: int, images: dict[int, Any], labels: dict[int, int], file: Path
) -> tuple[int, AnnotatedBox]:
    """Image id and box of one annotation."""
    where = f"annotations[{position}]"
    if isinstance(annotation, dict) and is_whole(annotation.get("id")):
        where = f"annotation {annotation['id']}"
    place = f"{file}, {where}"
    image_id = _entry(annotation, place, "image_id")
    if not is_whole(image_id) or image_id not in images:
        raise DataError(
            f"{place}: image_id {shown(image_id)} is not among the {len(images)} images of the "
            "file; add the image or remove the annotation"
        )
    category = _entry(annotation, place, "category_id")
    if not is_whole(category) or category not in labels:
        raise DataError(
            f"{place}: category_id {shown(category)} is not among the {len(labels)} categories of "
            f"the file ({min(labels)}..{max(labels)}); correct it or remove the annotation"
        )
    box = _box(_entry(annotation, place, "bbox"), place)
    area = annotation.get("area")
    if area is not None and not (is_number(area) and area >= 0):
        raise DataError(f"{place}: area is {shown(area)}; write square pixels or leave it out")
    crowd = annotation.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"{place}: iscrowd is {shown(crowd)}; write 0 or 1")
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
            f"{place}: bbox {shown(box)} is not [x, y, width, height]; "
            "correct or remove the annotation"
        )
    if not all(map(is_number, box)):
        raise DataError(
            f"{place}: bbox {shown(box)} must hold finite numbers of 64 bits; "
            "correct or remove the annotation"
        )
    x, y, width, height = box
    return x, y, x + width, y + height


def _entry(entry: Any, place: str, key: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise DataError(f"{place}: has no {key!r}; add it or remove the row")
    return entry[key]
