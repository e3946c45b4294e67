"""Shared by the readers: the check of class names, file names and boxes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from sobench.data.annotation_files import shown
from sobench.data.dataset import AnnotatedImage, FloatArray, Size, SkippedRow, as_boxes, as_labels
from sobench.errors import DataError
from sobench.suite.protocols import INFINITE_AREA
from sobench.text import is_printable

Split = Literal["train", "val"]
Box = tuple[float, float, float, float]

PARTLY_OUTSIDE = "boxes partly outside the image, kept as they are"
REPEATED = "exact repetitions of a box of the same image and class, each counted"

LONGEST_NAME = 200
"""Characters of a class name."""

LARGEST_SIDE = 2**20
"""Pixels of the longer side of an image; no larger one can be decoded."""

FARTHEST = 100
"""A box may reach out of its image by this many times the image's longer side."""

# Annotation files round to a hundredth of a pixel; that much is not "outside".
_ROUNDING = 0.01


class AnnotatedBox(NamedTuple):
    """One box of an annotation file.

    Attributes:
        where: its row, annotation id or object number, for messages.
        box: ``x1, y1, x2, y2`` in pixels of the original image.
        label: class index, or ``EVERY_CLASS`` for an ignore region.
        ignore: whether it is an ignore region instead of an object.
        area: square pixels; ``None`` for width times height.
    """

    where: str
    box: Box
    label: int
    ignore: bool = False
    area: float | None = None


@dataclass(frozen=True)
class ReadReport:
    """Collected by a reader beside the images: annotations left out, and counts for the user."""

    skipped: list[SkippedRow] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)


_TAKEN = {
    "all": "the mean over the classes in every result",
    "method": "the column with the rows' names in tables of classes",
}
"""Names that no class may have -> what has them."""


def check_class_names(names: Iterable[str], place: str) -> None:
    """Check that results can be kept by class name.

    Args:
        names: the classes, in the order of their labels.
        place: the file, or the key of the suite, that holds them.

    Raises:
        DataError: a name is empty, long, unprintable, used twice, or one of ``_TAKEN``.
    """
    seen: set[str] = set()
    for name in names:
        if not name.strip() or len(name) > LONGEST_NAME or not is_printable(name):
            raise DataError(
                f"{place}: class name {shown(name)} is not a valid name; "
                f"write 1 to {LONGEST_NAME} characters that can be printed"
            )
        if name in _TAKEN:
            raise DataError(
                f"{place}: class name {shown(name)} is taken, it is {_TAKEN[name]}; rename the "
                "class"
            )
        if name in seen:
            raise DataError(
                f"{place}: class name {shown(name)} is used twice; rename one of the two classes, "
                "or make them one"
            )
        seen.add(name)


def check_inside(name: str, folder: Path, allowed: Sequence[Path], place: str) -> None:
    """Check that a file name of an annotation file stays in the data set.

    Links below the folders may lead anywhere: whoever made the folders made them too.

    Args:
        name: the file, relative to ``folder`` or absolute.
        folder: where the image files are.
        allowed: the folders that the file may be in; none for ``dataset.outside_root``.
        place: the file and the row of the name, for messages.

    Raises:
        DataError: the file is elsewhere, or no file can have that name.
    """
    if "\0" in name or not (name.isascii() or _is_encodable(name)):
        raise DataError(f"{place}: no file can have the name {shown(name)}; correct it")
    if not allowed or not _is_elsewhere(name):
        return
    if not is_inside(name, folder, allowed):
        raise DataError(
            f"{place}: {shown(name)} leaves the dataset's folder {allowed[0]}; move the file, or "
            "write dataset.outside_root: true if you trust these annotations"
        )


def is_inside(name: str, folder: Path, allowed: Iterable[Path]) -> bool:
    """Whether a file of ``folder`` is below one of the folders ``allowed``, by its name."""
    path = Path(os.path.normpath(folder / name))
    return any(_is_below(path, parent) for parent in allowed)


def outside_files(names: Iterable[str], folder: Path) -> list[Path]:
    """The files of ``names`` that are not below ``folder``, by its name; each once, sorted."""
    paths = {Path(os.path.normpath(folder / name)) for name in names if _is_elsewhere(name)}
    normal = Path(os.path.normpath(folder))
    return sorted(path for path in paths if not path.is_relative_to(normal))


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_elsewhere(name: str) -> bool:
    """Whether a file may be outside of its folder, which nearly none is."""
    return name.startswith("/") or ".." in name


def zero_size_reason(x1: float, y1: float, x2: float, y2: float) -> str:
    """The reason to leave out a box without area; an empty string if it has one."""
    if x2 > x1 and y2 > y1:
        return ""
    return f"zero or negative size: {x1:g},{y1:g} to {x2:g},{y2:g}"


def to_annotated_image(
    image_id: int,
    name: str,
    size: Size,
    annotations: Iterable[AnnotatedBox],
    file: Path,
    report: ReadReport,
) -> AnnotatedImage:
    """An image with the annotations that can be used.

    Boxes without area and boxes wholly outside the image are left out and added to
    ``report.skipped``. Boxes that reach partly outside are kept unchanged and counted in
    ``report.notes``.

    Args:
        image_id: id of the image in the dataset.
        name: image file, for messages.
        size: height and width in pixels.
        annotations: the boxes of the image, with finite coordinates.
        file: annotation file, for messages.
        report: takes the boxes left out and the counts.

    Raises:
        DataError: a box is larger than any that scoring can hold, or ``FARTHEST`` away.
    """
    annotations = list(annotations)
    boxes = as_boxes([annotation.box for annotation in annotations])
    labels = as_labels([annotation.label for annotation in annotations])
    areas = np.asarray([_area(annotation) for annotation in annotations], dtype=np.float64)
    ignore = np.asarray([annotation.ignore for annotation in annotations], dtype=bool)
    height, width = size
    x1, y1, x2, y2 = boxes.T

    _check_extent(annotations, boxes, areas, size, file)
    usable = (x2 > x1) & (y2 > y1) & (x1 < width) & (y1 < height) & (x2 > 0) & (y2 > 0)
    for index in np.flatnonzero(~usable):
        annotation = annotations[index]
        reason = zero_size_reason(*annotation.box) or _outside_reason(annotation.box, size)
        report.skipped.append(SkippedRow(str(file), annotation.where, reason))

    objects, regions = usable & ~ignore, usable & ignore
    reach_out = (
        (np.minimum(x1, y1) < -_ROUNDING) | (x2 > width + _ROUNDING) | (y2 > height + _ROUNDING)
    )
    if count := int(np.count_nonzero(reach_out & objects)):
        report.notes[PARTLY_OUTSIDE] += count
    used = [annotations[index] for index in np.flatnonzero(objects)]
    if count := len(used) - len({(box.label, *box.box) for box in used}):
        report.notes[REPEATED] += count
    return AnnotatedImage(
        id=image_id,
        name=name,
        width=width,
        height=height,
        boxes=boxes[objects],
        labels=labels[objects],
        areas=areas[objects],
        ignore=boxes[regions],
        ignore_labels=labels[regions],
    )


def _check_extent(
    annotations: Sequence[AnnotatedBox],
    boxes: FloatArray,
    areas: FloatArray,
    size: Size,
    file: Path,
) -> None:
    # Written so that a sum which has become inf or nan is too far as well.
    near = (np.abs(boxes) <= (FARTHEST + 1) * max(size)).all(axis=1)
    for index in np.flatnonzero(~(near & (areas <= INFINITE_AREA)))[:1]:
        annotation, (height, width) = annotations[index], size
        x1, y1, x2, y2 = annotation.box
        raise DataError(
            f"{file}, {annotation.where}: {x1:g},{y1:g} to {x2:g},{y2:g} with an area of "
            f"{areas[index]:g} is too large or too far away for the image of {width}x{height}; "
            "correct or remove it"
        )


def _is_below(path: Path, parent: Path) -> bool:
    if path.is_relative_to(os.path.normpath(parent)):
        return True
    # The folder may be named in two ways, where it or one above it is a link. What lies in it may
    # be links as well, so each folder above the file is looked at.
    real = parent.resolve()
    return any(folder.resolve().is_relative_to(real) for folder in path.parents)


def _area(annotation: AnnotatedBox) -> float:
    x1, y1, x2, y2 = annotation.box
    return (x2 - x1) * (y2 - y1) if annotation.area is None else annotation.area


def _outside_reason(box: Box, size: Size) -> str:
    x1, y1, x2, y2 = box
    height, width = size
    return f"outside the image of {width}x{height}: {x1:g},{y1:g} to {x2:g},{y2:g}"
