"""YOLO txt: a ``data.yaml``, image folders, and one label file per image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sobench.data.annotation_files import finite_numbers, read_rows, shown
from sobench.data.annotations import AnnotatedBox, Box, ReadReport, Split, to_annotated_image
from sobench.data.dataset import Dataset, Size
from sobench.data.images import ImageFiles, read_size
from sobench.data.yolo_config import ImageSource, class_names, image_sources
from sobench.errors import DataError
from sobench.suite.datasets import YoloData
from sobench.text import plain

COLUMNS = ("class", "cx", "cy", "w", "h")

NO_LABEL_FILE = "images without a label file, taken as without objects"
POLYGONS = "polygons, replaced by their bounding box"

# A box may reach out of its image, but fractions beyond this are pixels or damage.
_LOWEST, _HIGHEST = -0.5, 1.5


def sources(root: Path, spec: YoloData, split: Split) -> tuple[list[Path], list[Path]]:
    """The label files of a split, sorted, and its image folders.

    If the split is a text file that lists images, these images take the place of folders.
    ``data.yaml`` is left out, because it may name folders of the machine that it was made on.

    Raises:
        DataError: ``data.yaml`` or a folder or list that it names is missing.
    """
    labels: list[Path] = []
    images: list[Path] = []
    for source in image_sources(root, spec, split):
        paths = [source.folder / name for name in source.names]
        labels += filter(Path.is_file, map(label_file, paths))
        images += paths if source.list_file else [source.folder]
    return sorted(labels, key=str), images


def identity(root: Path, spec: YoloData) -> tuple[str, ...]:
    """The class names of ``data.yaml`` with their ids, by rising id."""
    return tuple(f"{number} {name}" for number, name in class_names(root, spec).items())


def read(root: Path, spec: YoloData, split: Split) -> Dataset:
    """Read one split; sizes come from the headers of the images.

    Rows are ``class cx cy w h`` in fractions of the image; a polygon ``class x1 y1 x2 y2 ...`` is
    replaced by its bounding box. An image without a label file has no objects.

    Raises:
        DataError: a file or folder is missing, a row is malformed, a class is out of range, or
            coordinates are not fractions.
    """
    classes = class_names(root, spec)
    labels = {number: label for label, number in enumerate(classes)}
    parts = image_sources(root, spec, split)
    paths = [source.folder / name for source in parts for name in source.names]
    _check_images(paths, parts, root / spec.config, split)
    report = ReadReport()
    images = []
    for position, path in enumerate(paths, start=1):
        size = read_size(path)
        file = label_file(path)
        boxes = _boxes(file, size, labels, spec.config, report)
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


def _check_images(paths: list[Path], parts: list[ImageSource], config: Path, split: Split) -> None:
    """Check that a split has images, that none shares labels, and that no label lacks its image.

    Raises:
        DataError: naming the first file that breaks one of these rules.
    """
    if not paths:
        where = ", ".join(str(source.list_file or source.folder) for source in parts)
        raise DataError(f"{where}: has no images; correct {config} or dataset.{split}")

    # An image that is listed twice shares its label file with itself.
    owners: dict[Path, Path] = {}
    for path in paths:
        other = owners.setdefault(label_file(path), path)
        if other is not path:
            raise DataError(f"{path}: shares a label file with {other}; remove one of the two")

    for source in parts:
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
    file: Path, size: Size, labels: Mapping[int, int], config: str, report: ReadReport
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
                f"{file}, {where}: {len(cells)} columns in {shown(row)}, neither 'class cx cy w h' "
                "nor a class and corners of a polygon; correct or remove the row"
            )
        columns: tuple[str, ...] = COLUMNS
        if is_polygon:
            columns = ("class", *(f"column {i}" for i in range(2, len(cells) + 1)))
        category, *fractions = finite_numbers(cells, columns, file, where)
        if category not in labels:
            raise DataError(
                f"{file}, {where}: class {plain(cells[0])} is not among the {len(labels)} classes "
                f"of {config} ({min(labels)}..{max(labels)}); correct the row or add the class"
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
                f"{file}, {where}: {plain(cell)} is not a fraction of the image; "
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
