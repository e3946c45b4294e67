"""Tsinghua-Tencent 100K: one annotation file for all images, and a list of ids for each split."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sobench.data.annotation_files import is_number, read_image_ids, read_json, shown
from sobench.data.annotations import (
    AnnotatedBox,
    Box,
    ReadReport,
    Split,
    check_class_names,
    check_inside,
    to_annotated_image,
)
from sobench.data.dataset import EVERY_CLASS, Dataset
from sobench.data.images import ImageFiles, read_size
from sobench.errors import DataError, did_you_mean
from sobench.suite.datasets import Tt100kData
from sobench.text import plain

CLASSES = (
    "i2", "i4", "i5", "il100", "il60", "il80", "io", "ip", "p10", "p11", "p12", "p19", "p23", "p26",
    "p27", "p3", "p5", "p6", "pg", "ph4", "ph4.5", "ph5", "pl100", "pl120", "pl20", "pl30", "pl40",
    "pl5", "pl50", "pl60", "pl70", "pl80", "pm20", "pm30", "pm55", "pn", "pne", "po", "pr40", "w13",
    "w32", "w55", "w57", "w59", "wo",
)  # fmt: skip
"""The 45 signs with at least 100 instances (Zhu et al., CVPR 2016)."""

CORNERS = ("xmin", "ymin", "xmax", "ymax")
IDS = "ids.txt"

OTHERS = "signs of other categories, ignored for all classes"


def sources(root: Path, spec: Tt100kData, split: Split) -> tuple[list[Path], list[Path]]:
    """The annotation file and the list of ids of a split, and its image folders, sorted.

    Raises:
        DataError: the annotation file or the split is missing or malformed.
    """
    file, id_list = root / spec.annotations, root / _name(spec, split) / IDS
    paths = _split(_content(file)["imgs"], root, spec, split)
    files = [file, id_list] if id_list.is_file() else [file]
    return files, _folders(root, paths.values())


def identity(_root: Path, spec: Tt100kData) -> tuple[str, ...]:
    """The classes, if they are not the 45 of the field."""
    return (spec.classes,) if spec.classes == "all" else spec.classes or ()


def read(root: Path, spec: Tt100kData, split: Split) -> Dataset:
    """Read one split; sizes come from the headers of the images.

    ``ids.txt`` lists the images of a split; without it, a split has the images whose path begins
    with its name. Corners are continuous pixels. A sign of another category than the classes is
    neither object nor background: it becomes an ignore region of all classes. EFPN
    (arXiv:2003.07021) trains on these signs as further classes; ``classes: all`` does so too, and
    scores them as well.

    Raises:
        DataError: a file or folder is missing, the annotation file is malformed, an id is not
            among its images, or a class not among its types.
    """
    file = root / spec.annotations
    content = _content(file)
    classes = _classes(spec, content["types"], file)
    labels = dict.fromkeys(content["types"], EVERY_CLASS)
    labels |= {name: label for label, name in enumerate(classes)}
    paths = _split(content["imgs"], root, spec, split)
    _check_folders(root, paths.values(), split)
    report = ReadReport()
    images = []
    for key, path in paths.items():
        boxes = _boxes(content["imgs"][key], labels, file, f"image {plain(key)}", report)
        size, image_id = read_size(root / path), _image_id(key, file)
        images.append(to_annotated_image(image_id, path, size, boxes, file, report))
    return Dataset(
        title=f"TT100K {_name(spec, split)}",
        classes=classes,
        category_ids=tuple(range(1, len(classes) + 1)),
        images=tuple(images),
        read_image=ImageFiles.of(images, root),
        skipped=tuple(report.skipped),
        notes=report.notes,
    )


def _content(file: Path) -> dict[str, Any]:
    """The images by id and the types of an annotation file."""
    content = read_json(
        file,
        "dataset.root or dataset.annotations, which is annotations_all.json in the release of 2021",
    )
    images, types = (_value(content, key, str(file)) for key in ("imgs", "types"))
    if not isinstance(images, dict) or not images:
        raise DataError(f"{file}: imgs is not a mapping of ids to images; give a TT100K file")
    if not isinstance(types, list) or not all(isinstance(name, str) for name in types):
        raise DataError(f"{file}: types is not a list of names; give a TT100K file")
    return {"imgs": images, "types": types}


def _classes(spec: Tt100kData, types: list[str], file: Path) -> tuple[str, ...]:
    if spec.classes == "all":
        classes = tuple(dict.fromkeys(types))
        check_class_names(classes, f"{file}, types")
        return classes
    classes = spec.classes or CLASSES
    for name in classes:
        if name not in types:
            raise DataError(
                f"{file}: has no type {shown(name)}, correct dataset.classes or write all;"
                f"{did_you_mean(name, types)}"
            )
    check_class_names(classes, "dataset.classes")
    return classes


def _name(spec: Tt100kData, split: Split) -> str:
    return spec.train if split == "train" else spec.val


def _split(images: dict[str, Any], root: Path, spec: Tt100kData, split: Split) -> dict[str, str]:
    """Id -> path of the images of a split, in the order of its list or of the file."""
    file, name = root / spec.annotations, _name(spec, split)
    id_list = root / name / IDS
    if id_list.is_file():
        keys = _listed_ids(id_list, images, file)
        return {key: _path(images[key], key, root, spec) for key in keys}
    all_paths = {key: _path(entry, key, root, spec) for key, entry in images.items()}
    paths = {key: path for key, path in all_paths.items() if path.startswith(f"{name}/")}
    if not paths:
        known = plain(", ".join(sorted({path.partition("/")[0] for path in all_paths.values()})))
        raise DataError(
            f"{file}: no image is in {name}/, and there is no {id_list}; "
            f"correct dataset.{split}; known: {known}"
        )
    return paths


def _listed_ids(id_list: Path, images: Collection[str], file: Path) -> list[str]:
    ids = read_image_ids(id_list)
    for key, number in ids.items():
        if key not in images:
            raise DataError(
                f"{id_list}, row {number}: image {shown(key)} is not among the {len(images)} of "
                f"{file}; add it there (with no objects for a background) or remove the row"
            )
    return list(ids)


def _path(entry: Any, key: str, root: Path, spec: Tt100kData) -> str:
    place = f"{root / spec.annotations}, image {plain(key)}"
    path = _value(entry, "path", place)
    if not isinstance(path, str) or not path:
        raise DataError(f"{place}: path is {shown(path)}; write one relative to dataset.root")
    allowed = () if spec.outside_root else (root, root / spec.train, root / spec.val)
    check_inside(path, root, allowed, f"{place}: path")
    return path


def _folders(root: Path, paths: Collection[str]) -> list[Path]:
    return [root / name for name in sorted({path.rpartition("/")[0] for path in paths})]


def _check_folders(root: Path, paths: Collection[str], split: Split) -> None:
    for folder in _folders(root, paths):
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such image folder; put it back, or correct dataset.root or "
                f"dataset.{split}"
            )


def _image_id(key: str, file: Path) -> int:
    # Eighteen digits fit 64 bits.
    if not key.isdecimal() or len(key) > 18 or str(int(key)) != key:
        raise DataError(
            f"{file}: image id {shown(key)} is not a whole number of 64 bits; "
            "number the images anew"
        )
    return int(key)


def _boxes(
    entry: Any, labels: Mapping[str, int], file: Path, image: str, report: ReadReport
) -> list[AnnotatedBox]:
    objects = _value(entry, "objects", f"{file}, {image}")
    if not isinstance(objects, list):
        raise DataError(f"{file}, {image}: objects is not a list; write one, empty for none")
    boxes = []
    for number, sign in enumerate(objects, start=1):
        where = f"{image}, object {number}"
        category = _value(sign, "category", f"{file}, {where}")
        if not isinstance(category, str) or category not in labels:
            raise DataError(
                f"{file}, {where}: category {shown(category)} is not among the {len(labels)} "
                f"types, correct it or add it there;{did_you_mean(shown(category), labels)}"
            )
        ignore = labels[category] == EVERY_CLASS
        if ignore:
            report.notes[OTHERS] += 1
        boxes.append(AnnotatedBox(where, _box(sign, file, where), labels[category], ignore))
    return boxes


def _box(sign: Any, file: Path, where: str) -> Box:
    box = _value(sign, "bbox", f"{file}, {where}")
    corners = [_value(box, corner, f"{file}, {where}, bbox") for corner in CORNERS]
    for name, value in zip(CORNERS, corners, strict=True):
        if not is_number(value):
            raise DataError(
                f"{file}, {where}: {name} is {shown(value)}, not a finite number; "
                "correct or remove the object"
            )
    xmin, ymin, xmax, ymax = corners
    return xmin, ymin, xmax, ymax


def _value(entry: Any, key: str, place: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise DataError(f"{place}: has no {shown(key)}; add it or give a file of TT100K's layout")
    return entry[key]
