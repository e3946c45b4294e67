"""Shared by the readers: text and JSON files, numbers, and the check of boxes."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from sobench.data.dataset import AnnotatedImage, Size, SkippedRow, as_boxes, as_labels
from sobench.errors import DataError

Split = Literal["train", "val"]
Box = tuple[float, float, float, float]

PARTLY_OUTSIDE = "boxes partly outside the image, kept as they are"

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


def read_rows(path: Path) -> list[tuple[int, str]]:
    """The rows of a text file that are not blank, stripped, with their 1-based numbers.

    Raises:
        DataError: the file is missing or not text.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such annotation file; put it back or correct the dataset's root and split"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not a UTF-8 text file; replace it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); replace it") from None
    numbered = ((number, row.strip()) for number, row in enumerate(content.split("\n"), start=1))
    return [(number, row) for number, row in numbered if row]


def read_image_ids(path: Path) -> dict[str, int]:
    """The ids of a list of images, with their 1-based rows; one id per row.

    Raises:
        DataError: the file is missing or not text, or lists an image twice, or no image.
    """
    ids: dict[str, int] = {}
    for number, key in read_rows(path):
        if len(key.split()) > 1:
            raise DataError(
                f"{path}, row {number}: {key!r} is not one image id; "
                "give an image set with one id per row"
            )
        if key in ids:
            raise DataError(
                f"{path}, row {number}: image {key!r} is also in row {ids[key]}; "
                "remove one of the two"
            )
        ids[key] = number
    if not ids:
        raise DataError(f"{path}: lists no images; give a list with at least one")
    return ids


def read_json(path: Path, correct: str) -> Any:
    """The content of an annotation file in JSON.

    Args:
        path: the annotation file.
        correct: the settings to correct if the file does not exist, for the message.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file; correct {correct}") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: is not valid JSON ({error.msg}); replace the file"
        ) from None
    # Bytes that are not text, numbers of thousands of digits, lists nested too deep.
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); replace the file") from None


def finite_numbers(
    cells: Sequence[str], names: Sequence[str], file: Path, where: str
) -> list[float]:
    """The cells of a row as finite numbers; ``names`` are its columns.

    Raises:
        DataError: naming the file, the row, the column and the value that is not a finite number.
    """
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        values = [math.nan]
    if all(map(math.isfinite, values)):
        return values
    name, cell = next(
        (name, cell) for name, cell in zip(names, cells, strict=False) if not _finite(cell)
    )
    raise DataError(
        f"{file}, {where}: {name} is {cell!r}, not a finite number; correct or remove the row"
    )


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
    """
    annotations = list(annotations)
    boxes = as_boxes([annotation.box for annotation in annotations])
    labels = as_labels([annotation.label for annotation in annotations])
    areas = np.asarray([_area(annotation) for annotation in annotations], dtype=np.float64)
    ignore = np.asarray([annotation.ignore for annotation in annotations], dtype=bool)
    height, width = size
    x1, y1, x2, y2 = boxes.T

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


def _area(annotation: AnnotatedBox) -> float:
    x1, y1, x2, y2 = annotation.box
    return (x2 - x1) * (y2 - y1) if annotation.area is None else annotation.area


def _outside_reason(box: Box, size: Size) -> str:
    x1, y1, x2, y2 = box
    height, width = size
    return f"outside the image of {width}x{height}: {x1:g},{y1:g} to {x2:g},{y2:g}"


def _finite(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
