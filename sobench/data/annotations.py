"""What the readers share: text rows, numbers, and the policy for boxes that cannot be used."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from sobench.data.dataset import AnnotatedImage, SkippedRow, as_boxes, as_labels
from sobench.errors import DataError

Split = Literal["train", "val"]
Box = tuple[float, float, float, float]

PARTLY_OUTSIDE = "boxes partly outside the image, kept as they are"

# Annotation files round to a hundredth of a pixel; that much is not "outside".
_ROUNDING = 0.01


class Row(NamedTuple):
    """One box of an annotation file.

    Attributes:
        where: its row, annotation id or object number, for messages.
        box: ``x1, y1, x2, y2`` in pixels of the original image.
        label: class index, or ``EVERY_CLASS`` for an ignore region.
        ignore: it is an ignore region, not an object.
        area: square pixels; ``None`` for width times height.
    """

    where: str
    box: Box
    label: int
    ignore: bool = False
    area: float | None = None


@dataclass(frozen=True)
class ReadReport:
    """What a reader collects beside images: rows left out, and counts worth knowing."""

    skipped: list[SkippedRow] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)


def text_rows(path: Path) -> list[tuple[int, str]]:
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
    rows = ((number, row.strip()) for number, row in enumerate(content.split("\n"), start=1))
    return [(number, row) for number, row in rows if row]


def image_ids(path: Path) -> dict[str, int]:
    """The ids in a list of images, one to a row, with their 1-based rows.

    Raises:
        DataError: the file is missing or not text, names an image twice, or none.
    """
    ids: dict[str, int] = {}
    for number, key in text_rows(path):
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


def json_file(path: Path, correct: str) -> Any:
    """The content of an annotation file in JSON.

    Args:
        correct: what to correct where there is no such file.

    Raises:
        DataError: the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file; correct {correct}") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: is not valid JSON ({error.msg}); replace the file"
        ) from None
    # Bytes that are no text, numbers of thousands of digits, lists in lists without end.
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); replace the file") from None


def numbers(cells: Sequence[str], names: Sequence[str], file: Path, where: str) -> list[float]:
    """The cells of a row as finite numbers.

    Raises:
        DataError: naming the file, the row, the column and the value that is no finite number.
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


def zero_size(x1: float, y1: float, x2: float, y2: float) -> str:
    """Why the box has no area, or an empty string if it has one."""
    if x2 > x1 and y2 > y1:
        return ""
    return f"zero or negative size: {x1:g},{y1:g} to {x2:g},{y2:g}"


def to_annotated_image(
    image_id: int,
    name: str,
    image_size: tuple[int, int],
    rows: Iterable[Row],
    file: Path,
    report: ReadReport,
) -> AnnotatedImage:
    """One image from its rows.

    Boxes without area and boxes wholly outside the image are left out and added to
    ``report.skipped``; boxes that reach out are kept unchanged and counted in
    ``report.notes``.

    Args:
        image_id: id of the image in the dataset.
        name: image file, for messages.
        image_size: width and height in pixels.
        rows: the boxes of the image, with finite coordinates.
        file: annotation file, for messages.
        report: collects what was left out or is worth knowing.
    """
    rows = list(rows)
    boxes = as_boxes([row.box for row in rows])
    labels = as_labels([row.label for row in rows])
    ignore = np.asarray([row.ignore for row in rows], dtype=bool)
    width, height = image_size
    x1, y1, x2, y2 = boxes.T
    usable = (x2 > x1) & (y2 > y1) & (x1 < width) & (y1 < height) & (x2 > 0) & (y2 > 0)
    for index in np.flatnonzero(~usable):
        row = rows[index]
        reason = zero_size(*row.box) or _outside(row.box, image_size)
        report.skipped.append(SkippedRow(str(file), row.where, reason))
    out = (np.minimum(x1, y1) < -_ROUNDING) | (x2 > width + _ROUNDING) | (y2 > height + _ROUNDING)
    if reaching := int(np.count_nonzero(out & usable & ~ignore)):
        report.notes[PARTLY_OUTSIDE] += reaching
    kept, ignored = usable & ~ignore, usable & ignore
    areas = np.asarray([_area(row) for row in rows], dtype=np.float64)
    return AnnotatedImage(
        id=image_id,
        name=name,
        width=width,
        height=height,
        boxes=boxes[kept],
        labels=labels[kept],
        areas=areas[kept],
        ignore=boxes[ignored],
        ignore_labels=labels[ignored],
    )


def _area(row: Row) -> float:
    x1, y1, x2, y2 = row.box
    return (x2 - x1) * (y2 - y1) if row.area is None else row.area


def _outside(box: Box, image_size: tuple[int, int]) -> str:
    x1, y1, x2, y2 = box
    width, height = image_size
    return f"outside the image of {width}x{height}: {x1:g},{y1:g} to {x2:g},{y2:g}"


def _finite(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
