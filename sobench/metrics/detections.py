"""Detections as COCO result rows: their checks, their columns, and the file that stores them.

Boxes are rounded to 1e-3 px and scores to 1e-9, in the file and before scoring alike.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import FloatArray, IntArray
from sobench.errors import DataError
from sobench.files import write_atomic

BOX_DECIMALS = 3
SCORE_DECIMALS = 9


class DetectionRow(TypedDict):
    """One COCO result row.

    ``bbox`` is ``[x, y, w, h]`` in pixels of the original image, with ``w, h >= 0``; ``score`` is
    any finite number, where higher is surer; the ids are those of the annotation file.
    """

    image_id: int
    category_id: int
    bbox: list[float]
    score: float


@dataclass(frozen=True)
class DetectionTable:
    """Rows as columns: ids ``[N]``, boxes ``[N, 4]`` ``x, y, w, h`` in pixels, scores ``[N]``."""

    image_ids: IntArray
    category_ids: IntArray
    boxes: FloatArray
    scores: FloatArray


def write_rows(path: Path, rows: Sequence[DetectionRow]) -> None:
    """Write ``detections.json.gz``: gzip JSON, one row per line, whole or not at all.

    Boxes are rounded to 1e-3 px and scores to 1e-9. Identical rows give identical bytes with one
    build of zlib.

    Raises:
        DataError: a row is malformed, not finite or of negative size.
    """
    table = tabulate(rows, "detections")
    columns = (table.image_ids, table.category_ids, table.boxes, table.scores)
    lines = (  # the text of finite numbers and of lists of them is JSON
        f'{{"image_id":{image},"category_id":{category},"bbox":{box},"score":{value}}}'
        for image, category, box, value in zip(*(c.tolist() for c in columns), strict=True)
    )
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    buffer = io.BytesIO()
    # Neither the file's name nor the time goes into the bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=4, mtime=0) as file:
        file.write(text.encode("ascii"))
    write_atomic(path, buffer.getvalue())


def read_rows(path: Path) -> list[DetectionRow]:
    """Read a file that ``write_rows`` has written.

    Raises:
        DataError: the file is missing or damaged, or does not hold COCO result rows.
    """
    try:
        with gzip.open(path, "rb") as file:
            rows = json.loads(file.read())
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path, or detect first") from error
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: not readable as gzip JSON ({error}); delete it and detect again"
        ) from error
    if not isinstance(rows, list):
        raise DataError(
            f"{path}: holds a {type(rows).__name__}, not a list of COCO result rows; "
            "delete it and detect again"
        )
    tabulate(rows, str(path))
    return cast(list[DetectionRow], rows)


def tabulate(rows: Sequence[DetectionRow], source: str) -> DetectionTable:
    """Rows as checked and rounded columns; ``source`` names them in errors.

    Raises:
        DataError: a row is malformed, not finite or of negative size.
    """
    # All rows go into arrays at once, for speed; only if that fails are they looked at one by one.
    try:
        image_ids = np.array([row["image_id"] for row in rows] or np.empty(0, np.int64))
        category_ids = np.array([row["category_id"] for row in rows] or np.empty(0, np.int64))
        scores = np.array([row["score"] for row in rows] or np.empty(0))
        sides = [row["bbox"] for row in rows]
        boxes = np.array(list(chain.from_iterable(sides)) or np.empty(0))
        regular = all(len(box) == 4 for box in sides)
    except (KeyError, TypeError, ValueError, OverflowError):
        regular = False
    if not regular or not (
        image_ids.dtype.kind == category_ids.dtype.kind == "i"
        and scores.dtype.kind in "iuf"
        and boxes.dtype.kind in "iuf"
        and image_ids.ndim == category_ids.ndim == scores.ndim == boxes.ndim == 1
    ):
        raise DataError(_first_malformed(rows, source))
    with np.errstate(over="ignore"):  # an overflow becomes inf and is reported below
        table = DetectionTable(
            image_ids.astype(np.int64),
            category_ids.astype(np.int64),
            _rounded(boxes, BOX_DECIMALS).reshape(-1, 4),
            _rounded(scores, SCORE_DECIMALS),
        )
    _check_values(table, rows, source)
    return table


def _rounded(values: NDArray[Any], decimals: int) -> FloatArray:
    exact: FloatArray = values.astype(np.float64)
    return np.round(exact, decimals) + 0.0  # -0.0 becomes 0.0


def _first_malformed(rows: Sequence[DetectionRow], source: str) -> str:
    """A message about the first row that does not have the form of a COCO result row."""
    form = 'a row is {"image_id": int, "category_id": int, "bbox": [x, y, w, h], "score": number}'
    for number, row in enumerate(cast(Sequence[Any], rows), start=1):
        where = f"{source}, row {number} of {len(rows)}"
        if not isinstance(row, dict):
            return f"{where}: {row!r} is not an object; {form}"
        for key in DetectionRow.__annotations__:
            if key not in row:
                return f"{where}: no {key!r}; {form}"
        for key in ("image_id", "category_id"):
            if not isinstance(row[key], Integral) or abs(row[key]) >= 2**63:
                return f"{where}: {key} {row[key]!r} is not an integer of 64 bits; {form}"
        if not isinstance(row["score"], Real):
            return f"{where}: score {row['score']!r} is not a number; {form}"
        box = row["bbox"]
        is_numeric = isinstance(box, (list, tuple, np.ndarray)) and all(
            isinstance(side, Real) for side in box
        )
        if not is_numeric or len(box) != 4:
            return f"{where}: bbox {box!r} is not four numbers; {form}"
    return f"{source}: rows are not COCO result rows; {form}"


def _check_values(table: DetectionTable, rows: Sequence[DetectionRow], source: str) -> None:
    """Refuse values that no engine can score."""
    finite_boxes = np.isfinite(table.boxes).all(axis=1)
    problems = (
        (~np.isfinite(table.scores), "score", "is not finite; look for NaN in the network"),
        (~finite_boxes, "bbox", "is not finite; look for NaN in the network"),
        (
            (table.boxes[:, 2:] < 0).any(axis=1),
            "bbox",
            "has a negative width or height; bbox is [x, y, w, h], not [x1, y1, x2, y2]",
        ),
    )
    for is_bad, key, problem in problems:
        if is_bad.any():
            index = int(np.argmax(is_bad))
            value = cast(dict[str, Any], rows[index])[key]
            raise DataError(f"{source}, row {index + 1} of {len(rows)}: {key} {value!r} {problem}")
