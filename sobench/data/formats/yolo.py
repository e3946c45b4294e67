"""YOLO txt: a ``data.yaml``, image folders, and one label file per image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sobench.data.annotations import (
    AnnotatedBox,
    Box,
    ReadReport,
    Split,
    finite_numbers,
    read_rows,
    to_annotated_image,
)
from sobench.data.dataset import Dataset, Size
from sobench.data.images import SUFFIXES, ImageFiles, list_images, read_size
from sobench.errors import DataError, did_you_mean
from sobench.suite.datasets import YoloData
from sobench.yaml_text import UnreadableYaml, read_yaml_file

CONFIG = "data.yaml"
COLUMNS = ("class", "cx", "cy", "w", "h")

NO_LABEL_FILE = "images without a label file, taken as without objects"
POLYGONS = "polygons, replaced by their bounding box"

# A box may reach out of its image, but fractions beyond this are pixels or damage.
_LOWEST, _HIGHEST = -0.5, 1.5


@dataclass(frozen=True)
class _ImageSource:
    """Images of a split: those in a folder, or those that a text file lists.

    Attributes:
        folder: the folder of the images, or of the list.
        names: the image files, relative to ``folder`` or absolute.
        list_file: the text file that lists the images, ``None`` for a folder.
    """

    folder: Path
    names: tuple[str, ...]
    list_file: Path | None


def class_names(root: Path) -> dict[int, str]:
    """Class id -> name from ``data.yaml``, by rising id.

    Raises:
        DataError: the file is missing or its ``names`` are not a list or mapping of texts.
    """
    return _names(_config(root), root / CONFIG)


def sources(root: Path, spec: YoloData, split: Split) -> tuple[list[Path], list[Path]]:
    """The label files of a split, sorted, and its image folders.

    If the split is a text file that lists images, these images take the place of folders.
    ``data.yaml`` is left out, because it may name folders of the machine that it was made on.

    Raises:
        DataError: ``data.yaml`` or a folder or list that it names is missing.
    """
    labels: list[Path] = []
    images: list[Path] = []
    for source in _image_sources(root, spec, split):
        paths = [source.folder / name for name in source.names]
        labels += filter(Path.is_file, map(label_file, paths))
        images += paths if source.list_file else [source.folder]
    return sorted(labels, key=str), images


def identity(root: Path, _spec: YoloData) -> tuple[str, ...]:
    """The class names of ``data.yaml`` with their ids, by rising id."""
    return tuple(f"{number} {name}" for number, name in class_names(root).items())


def read(root: Path, spec: YoloData, split: Split) -> Dataset:
    """Read one split; sizes come from the headers of the images.

    Rows are ``class cx cy w h`` in fractions of the image; a polygon ``class x1 y1 x2 y2 ...`` is
    replaced by its bounding box. An image without a label file has no objects.

    Raises:
        DataError: a file or folder is missing, a row is malformed, a class is out of range, or
            coordinates are not fractions.
    """
    classes = class_names(root)
    labels = {number: label for label, number in enumerate(classes)}
    image_sources = _image_sources(root, spec, split)
    paths = [source.folder / name for source in image_sources for name in source.names]
    _check_images(paths, image_sources, root / CONFIG, split)
    report = ReadReport()
    images = []
    for position, path in enumerate(paths, start=1):
        size = read_size(path)
        file = label_file(path)
        boxes = _boxes(file, size, labels, report)
        images.append(to_annotated_image(position, path.name, size, boxes, file, report))
    return Dataset(
        title=f"YOLO {spec.train if split == 'train' else spec.val}",
        classes=tuple(classes.values()),
        category_ids=tuple(classes),
        images=tuple(images),
        read_image=ImageFiles(tuple(paths), tuple(image.size for image in images)),
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
        content = read_yaml_file(file)
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; correct dataset.root or write one") from None
    except UnreadableYaml as error:
        raise DataError(f"{file}: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{file}: has no keys; write train, val and names")
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


def _image_sources(root: Path, spec: YoloData, split: Split) -> list[_ImageSource]:
    file, config = root / CONFIG, _config(root)
    key = spec.train if split == "train" else spec.val
    entries = config.get(key)
    if entries is None:
        split_names = [name for name in config if name not in ("path", "names", "nc")]
        raise DataError(
            f"{file}: has no key {key!r}, add it or correct dataset.{split};"
            f"{did_you_mean(key, map(str, split_names))}"
        )
    image_sources = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, str):
            raise DataError(f"{file}: {key} holds {entry!r}; write a folder or a list of folders")
        path = _locate(root, config, entry, key)
        if path.is_dir():
            image_sources.append(_ImageSource(path, tuple(list_images(path)), None))
        else:
            image_sources.append(_listed(path, root))
    return image_sources


def _locate(root: Path, config: Mapping[str, Any], entry: str, key: str) -> Path:
    """The folder or list that an entry names.

    Published files often have a ``path`` of their author's machine, or a ``../`` that leaves the
    dataset, so the folder of ``data.yaml`` is tried as well.
    """
    candidates = [
        root / str(config.get("path") or "") / entry,
        root / entry,
        root / entry.removeprefix("../"),
    ]
    for path in candidates:
        if path.exists():
            return path
    tried = ", ".join(dict.fromkeys(map(str, candidates)))
    raise DataError(f"{root / CONFIG}: {key} is {entry!r}, found at none of {tried}; correct it")


def _listed(file: Path, root: Path) -> _ImageSource:
    """The images that a text file lists, relative to that file or to ``root``, or absolute."""
    if file.suffix != ".txt":
        raise DataError(f"{file}: is neither a folder nor a .txt list of images; correct {CONFIG}")
    names = []
    for number, name in read_rows(file):
        if not name.lower().endswith(SUFFIXES):
            raise DataError(
                f"{file}, row {number}: {name!r} is not an image file; correct or remove it"
            )
        image = next((path for path in (file.parent / name, root / name) if path.is_file()), None)
        if image is None:
            raise DataError(
                f"{file}, row {number}: no image file {file.parent / name}; "
                "put it back or remove the row"
            )
        names.append(str(image))
    return _ImageSource(file.parent, tuple(names), file)


def _check_images(
    paths: list[Path], image_sources: list[_ImageSource], config: Path, split: Split
) -> None:
    """Check that a split has images, that none shares labels, and that no label lacks its image.

    Raises:
        DataError: naming the first file that breaks one of these rules.
    """
    if not paths:
        where = ", ".join(str(source.list_file or source.folder) for source in image_sources)
        raise DataError(f"{where}: has no images; correct {config} or dataset.{split}")

    # An image that is listed twice shares its label file with itself.
    owners: dict[Path, Path] = {}
    for path in paths:
        other = owners.setdefault(label_file(path), path)
        if other is not path:
            raise DataError(f"{path}: shares a label file with {other}; remove one of the two")

    for source in image_sources:
        labels = _labels_of(source.folder)
        # A list may leave images out on purpose; without a labels folder there is nothing to pair.
        if source.list_file or labels == source.folder or not labels.is_dir():
            continue
        for file in sorted(labels.rglob("*.txt")):
            # LabelImg writes the class names beside the labels.
            if file not in owners and file.name != "classes.txt":
                raise DataError(
                    f"{file}: has no image in {source.folder}; add it or remove the label file"
                )


def _boxes(
    file: Path, size: Size, labels: Mapping[int, int], report: ReadReport
) -> list[AnnotatedBox]:
    if not file.is_file():
        report.notes[NO_LABEL_FILE] += 1
        return []
    boxes = []
    for number, row in read_rows(file):
        where = f"row {number}"
        cells = row.split()
        is_polygon = len(cells) >= 7 and len(cells) % 2 == 1
        if len(cells) != len(COLUMNS) and not is_polygon:
            raise DataError(
                f"{file}, {where}: {len(cells)} columns in {row!r}, neither 'class cx cy w h' nor "
                "a class and corners of a polygon; correct or remove the row"
            )
        columns: tuple[str, ...] = COLUMNS
        if is_polygon:
            columns = ("class", *(f"column {i}" for i in range(2, len(cells) + 1)))
        category, *fractions = finite_numbers(cells, columns, file, where)
        if category not in labels:
            raise DataError(
                f"{file}, {where}: class {cells[0]} is not among the {len(labels)} classes of "
                f"{CONFIG} ({min(labels)}..{max(labels)}); correct the row or add the class"
            )
        _check_fractions(fractions, cells, file, where)
        if is_polygon:
            report.notes[POLYGONS] += 1
        box = _polygon_bounds(fractions, size) if is_polygon else _box(fractions, size)
        boxes.append(AnnotatedBox(where, box, labels[int(category)]))
    return boxes


def _check_fractions(fractions: list[float], cells: list[str], file: Path, where: str) -> None:
    for fraction, cell in zip(fractions, cells[1:], strict=True):
        if not _LOWEST <= fraction <= _HIGHEST:
            raise DataError(
                f"{file}, {where}: {cell} is not a fraction of the image; "
                "divide pixels by width and height, or remove the row"
            )


def _polygon_bounds(fractions: list[float], size: Size) -> Box:
    height, width = size
    xs, ys = fractions[::2], fractions[1::2]
    return min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height


def _box(fractions: list[float], size: Size) -> Box:
    height, width = size
    cx, cy, w, h = fractions
    return (
        (cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height,
    )  # fmt: skip
