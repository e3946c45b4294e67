"""YOLO txt: a ``data.yaml``, image folders, and one label file per image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sobench.data.annotations import (
    Box,
    ReadReport,
    Row,
    Split,
    numbers,
    text_rows,
    to_annotated_image,
)
from sobench.data.dataset import Dataset
from sobench.data.images import SUFFIXES, ImageFiles, list_images, size
from sobench.errors import DataError, did_you_mean
from sobench.suite.datasets import YoloData

CONFIG = "data.yaml"
COLUMNS = ("class", "cx", "cy", "w", "h")

NO_LABEL_FILE = "images without a label file, taken as without objects"
POLYGONS = "polygons, replaced by their bounding box"

# A box may reach out of its image, but fractions beyond this are pixels or damage.
_LOWEST, _HIGHEST = -0.5, 1.5


@dataclass(frozen=True)
class _Place:
    """Images of a split: a folder and names in it, or a list file and the files it names.

    ``listed`` is the text file that names the images, ``None`` for a folder.
    """

    folder: Path
    names: tuple[str, ...]
    listed: Path | None


def class_names(root: Path) -> dict[int, str]:
    """Class id -> name from ``data.yaml``, by rising id.

    Raises:
        DataError: the file is missing or its ``names`` are no list or mapping of texts.
    """
    return _names(_config(root), root / CONFIG)


def sources(root: Path, spec: YoloData, split: Split) -> tuple[list[Path], list[Path]]:
    """The label files of a split, sorted, and its image folders.

    Where the split is a text file that lists images, the images stand in place of folders.
    ``data.yaml`` is left out, because it may name folders of the machine that it was made on.

    Raises:
        DataError: ``data.yaml`` or what it names is missing.
    """
    labels: list[Path] = []
    images: list[Path] = []
    for place in _places(root, spec, split):
        paths = [place.folder / name for name in place.names]
        labels += filter(Path.is_file, map(label_file, paths))
        images += paths if place.listed else [place.folder]
    return sorted(labels, key=str), images


def read(root: Path, spec: YoloData, split: Split) -> Dataset:
    """Read one split; sizes come from the headers of the images.

    Rows are ``class cx cy w h`` in fractions of the image; a polygon ``class x1 y1 x2 y2 ...`` is
    replaced by its bounding box. An image without a label file has no objects.

    Raises:
        DataError: a file or folder is missing, a row is malformed, a class is out of range, or
            coordinates are no fractions.
    """
    classes = class_names(root)
    labels = {number: label for label, number in enumerate(classes)}
    places = _places(root, spec, split)
    paths = [place.folder / name for place in places for name in place.names]
    _check_images(paths, places, root / CONFIG, split)
    report = ReadReport()
    images = []
    for position, path in enumerate(paths, start=1):
        shape = size(path)
        file = label_file(path)
        rows = _rows(file, shape, labels, report)
        images.append(to_annotated_image(position, path.name, shape, rows, file, report))
    return Dataset(
        title=f"YOLO {spec.train if split == 'train' else spec.val}",
        classes=tuple(classes.values()),
        category_ids=tuple(classes),
        images=tuple(images),
        read_image=ImageFiles(tuple(paths), tuple((image.width, image.height) for image in images)),
        skipped=tuple(report.skipped),
        notes=report.notes,
    )


def label_file(image: Path) -> Path:
    """The label file of an image: the last folder ``images`` becomes ``labels``."""
    return _labels_of(image.parent) / f"{image.stem}.txt"


def _labels_of(folder: Path) -> Path:
    parts = list(folder.parts)
    for position in range(len(parts) - 1, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts)


def _config(root: Path) -> dict[str, Any]:
    file = root / CONFIG
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; correct dataset.root or write one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); replace it") from None
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise DataError(f"{file}: is not valid YAML ({problem}); correct it") from None
    if not isinstance(content, dict):
        raise DataError(f"{file}: holds no keys; write train, val and names")
    return content


def _names(config: Mapping[str, Any], file: Path) -> dict[int, str]:
    names = config.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise DataError(f"{file}: names is {names!r}; write a list of class names")
    classes: dict[int, str] = {}
    for number, name in sorted(names.items(), key=str):
        if type(number) is not int or number < 0:
            raise DataError(f"{file}: names has the key {number!r}; write class ids 0, 1, 2, ...")
        classes[number] = str(name)
    count = config.get("nc", len(classes))
    if count != len(classes):
        raise DataError(
            f"{file}: nc is {count!r}, but names has {len(classes)} classes; correct one of them"
        )
    return dict(sorted(classes.items()))


def _places(root: Path, spec: YoloData, split: Split) -> list[_Place]:
    file, config = root / CONFIG, _config(root)
    key = spec.train if split == "train" else spec.val
    entries = config.get(key)
    if entries is None:
        known = [name for name in config if name not in ("path", "names", "nc")]
        raise DataError(
            f"{file}: has no key {key!r}, add it or correct dataset.{split};"
            f"{did_you_mean(key, map(str, known))}"
        )
    places = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, str):
            raise DataError(f"{file}: {key} holds {entry!r}; write a folder or a list of folders")
        where = _locate(root, config, entry, key)
        if where.is_dir():
            places.append(_Place(where, tuple(list_images(where)), None))
        else:
            places.append(_listed(where, root))
    return places


def _locate(root: Path, config: Mapping[str, Any], entry: str, key: str) -> Path:
    """The folder or list that an entry names.

    Published files often carry a ``path`` of their author's machine, or a ``../`` that leaves
    the dataset; so the folder of ``data.yaml`` is tried as well.
    """
    tried = [
        root / str(config.get("path") or "") / entry,
        root / entry,
        root / entry.removeprefix("../"),
    ]
    for path in tried:
        if path.exists():
            return path
    places = ", ".join(dict.fromkeys(map(str, tried)))
    raise DataError(f"{root / CONFIG}: {key} is {entry!r}, found at none of {places}; correct it")


def _listed(file: Path, root: Path) -> _Place:
    """Images named by the rows of a text file, relative to that file, to ``root``, or absolute."""
    if file.suffix != ".txt":
        raise DataError(f"{file}: is neither a folder nor a .txt list of images; correct {CONFIG}")
    names = []
    for number, name in text_rows(file):
        if not name.lower().endswith(SUFFIXES):
            raise DataError(
                f"{file}, row {number}: {name!r} is no image file; correct or remove it"
            )
        found = next((path for path in (file.parent / name, root / name) if path.is_file()), None)
        if found is None:
            raise DataError(
                f"{file}, row {number}: no image file {file.parent / name}; "
                "put it back or remove the row"
            )
        names.append(str(found))
    return _Place(file.parent, tuple(names), file)


def _check_images(paths: list[Path], places: list[_Place], config: Path, split: Split) -> None:
    """No image twice, at least one, and no label file of a labels folder without its image."""
    if not paths:
        where = ", ".join(str(place.listed or place.folder) for place in places)
        raise DataError(f"{where}: holds no images; correct {config} or dataset.{split}")
    owners: dict[Path, Path] = {}
    for path in paths:
        other = owners.setdefault(label_file(path), path)
        if other is not path:
            raise DataError(f"{path}: shares a label file with {other}; remove one of the two")
    for place in places:
        labels = _labels_of(place.folder)
        if place.listed or labels == place.folder or not labels.is_dir():
            continue
        for file in sorted(labels.rglob("*.txt")):
            # LabelImg writes the class names beside the labels.
            if file not in owners and file.name != "classes.txt":
                raise DataError(
                    f"{file}: has no image in {place.folder}; add it or remove the label file"
                )


def _rows(
    file: Path, shape: tuple[int, int], labels: Mapping[int, int], report: ReadReport
) -> list[Row]:
    if not file.is_file():
        report.notes[NO_LABEL_FILE] += 1
        return []
    rows = []
    for number, text in text_rows(file):
        where = f"row {number}"
        cells = text.split()
        polygon = len(cells) >= 7 and len(cells) % 2 == 1
        if len(cells) != len(COLUMNS) and not polygon:
            raise DataError(
                f"{file}, {where}: {len(cells)} columns in {text!r}, neither 'class cx cy w h' nor "
                "a class and corners of a polygon; correct or remove the row"
            )
        names = (
            ("class", *(f"column {i}" for i in range(2, len(cells) + 1))) if polygon else COLUMNS
        )
        category, *fractions = numbers(cells, names, file, where)
        if category not in labels:
            raise DataError(
                f"{file}, {where}: class {cells[0]} is not among the {len(labels)} classes of "
                f"{CONFIG} ({min(labels)}..{max(labels)}); correct the row or add the class"
            )
        _check_fractions(fractions, cells, file, where)
        if polygon:
            report.notes[POLYGONS] += 1
        rows.append(Row(where, _box(fractions, polygon, shape), labels[int(category)]))
    return rows


def _check_fractions(fractions: list[float], cells: list[str], file: Path, where: str) -> None:
    for fraction, cell in zip(fractions, cells[1:], strict=True):
        if not _LOWEST <= fraction <= _HIGHEST:
            raise DataError(
                f"{file}, {where}: {cell} is no fraction of the image; "
                "divide pixels by width and height, or remove the row"
            )


def _box(fractions: list[float], polygon: bool, shape: tuple[int, int]) -> Box:
    width, height = shape
    if polygon:
        xs, ys = fractions[::2], fractions[1::2]
        return min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height
    cx, cy, w, h = fractions
    return (
        (cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height,
    )  # fmt: skip
