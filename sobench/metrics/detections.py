"""Detections as COCO result rows: their checks, their columns, and the file that stores them.

Boxes are rounded to 1e-3 px and scores to 1e-9, in the file and before scoring alike.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import reprlib
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

# Detections shrink to about a quarter; a file that shrank far more is not one of detections.
_UNPACKED_BYTES, _UNPACKED_RATIO = 2**24, 32
_INT64_MIN = -(2**63)
_BOOLEANS = {bool, np.bool_}


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

    def at(self, rows: NDArray[Any]) -> DetectionTable:
        """Some of the rows, by their indices or by a mask ``[N]``."""
        return DetectionTable(
            self.image_ids[rows], self.category_ids[rows], self.boxes[rows], self.scores[rows]
        )


def write_detections(path: Path, table: DetectionTable) -> str:
    """Write ``detections.json.gz``: gzip JSON, one row per line, whole or not at all.

    Identical tables give identical bytes with one build of zlib.

    Args:
        table: from ``tabulate``, which has checked and rounded it.

    Returns:
        SHA-256 of the file's bytes, in hexadecimal.
    """
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
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file's bytes in hexadecimal, or ``None`` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def read_detections(path: Path, digest: str | None = None) -> DetectionTable:
    """Read a file that ``write_detections`` has written.

    Args:
        digest: what ``write_detections`` returned; a file with other bytes is refused. Without it,
            one that grows more than any detections would when it is unpacked is refused.

    Raises:
        DataError: the file is missing or damaged, or does not hold COCO result rows.
    """
    try:
        packed = path.read_bytes()
        if digest is not None and hashlib.sha256(packed).hexdigest() != digest:
            raise ValueError("its bytes are not those that were written")
        limit = None if digest else max(_UNPACKED_BYTES, _UNPACKED_RATIO * len(packed))
        rows = json.loads(_unpacked(packed, limit))
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
    return tabulate(rows, str(path))


def _unpacked(packed: bytes, limit: int | None) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        content = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(content) > limit:
        raise ValueError(f"{len(packed)} bytes unpack to more than {limit}")
    return content


def tabulate(rows: Sequence[DetectionRow], source: str) -> DetectionTable:
    """Rows as checked and rounded columns; ``source`` names them in errors.

    Raises:
        DataError: a row is malformed, not finite or of negative size.
    """
    # All rows go into arrays at once, for speed; only if that fails are they looked at one by one.
    try:
        columns = [[row[key] for row in rows] for key in ("image_id", "category_id", "score")]
        sides = [row["bbox"] for row in rows]
        columns.append(list(chain.from_iterable(sides)))
        # Python takes booleans for integers, and NumPy follows if a column has both.
        has_booleans = any(not _BOOLEANS.isdisjoint(map(type, column)) for column in columns)
        regular = not has_booleans and all(len(box) == 4 for box in sides)
        empty = (np.int64, np.int64, np.float64, np.float64)
        image_ids, category_ids, scores, boxes = (
            np.array(column or np.empty(0, dtype))
            for column, dtype in zip(columns, empty, strict=True)
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        regular = False
    if not regular or not (
        image_ids.dtype.kind == category_ids.dtype.kind == "i"
        and _INT64_MIN not in image_ids
        and _INT64_MIN not in category_ids
        and scores.dtype.kind in "iuf"
        and boxes.dtype.kind in "iuf"
        and image_ids.ndim == category_ids.ndim == scores.ndim == boxes.ndim == 1
    ):
        raise DataError(_first_malformed(rows, source))
    table = rounded_table(image_ids, category_ids, boxes.reshape(-1, 4), scores)
    _check_values(table, rows, source)
    return table


def rounded_table(
    image_ids: NDArray[Any], category_ids: NDArray[Any], boxes: NDArray[Any], scores: NDArray[Any]
) -> DetectionTable:
    """Columns as they are stored and scored; what overflows while it is rounded becomes inf."""
    with np.errstate(over="ignore"):
        return DetectionTable(
            image_ids.astype(np.int64),
            category_ids.astype(np.int64),
            _rounded(boxes, BOX_DECIMALS),
            _rounded(scores, SCORE_DECIMALS),
        )


def _rounded(values: NDArray[Any], decimals: int) -> FloatArray:
    exact: FloatArray = values.astype(np.float64)
    return np.round(exact, decimals) + 0.0  # -0.0 becomes 0.0


def _first_malformed(rows: Sequence[DetectionRow], source: str) -> str:
    """A message about the first row that does not have the form of a COCO result row."""
    form = 'a row is {"image_id": int, "category_id": int, "bbox": [x, y, w, h], "score": number}'
    for number, row in enumerate(cast(Sequence[Any], rows), start=1):
        if problem := _problem(row):
            return f"{source}, row {number} of {len(rows)}: {problem}; {form}"
    return f"{source}: rows are not COCO result rows; {form}"


def _problem(row: Any) -> str:
    """What keeps a row from being a COCO result row; empty if nothing does."""
    if not isinstance(row, dict):
        return f"{reprlib.repr(row)} is not an object"
    for key in DetectionRow.__annotations__:
        if key not in row:
            return f"no {key!r}"
    for key in ("image_id", "category_id"):
        if not _is_number(row[key], Integral) or abs(row[key]) >= 2**63:
            return f"{key} {reprlib.repr(row[key])} is not an integer of 64 bits"
    if not _is_number(row["score"], Real):
        return f"score {reprlib.repr(row['score'])} is not a number"
    box = row["bbox"]
    is_numeric = isinstance(box, (list, tuple, np.ndarray)) and all(
        _is_number(side, Real) for side in box
    )
    if not is_numeric or len(box) != 4:
        return f"bbox {reprlib.repr(box)} is not four numbers"
    return ""


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is a number that a float can hold, and not a boolean."""
    if not isinstance(value, kind) or type(value) in _BOOLEANS:
        return False
    try:
        float(cast(Any, value))
    except OverflowError:
        return False
    return True


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
            raise DataError(
                f"{source}, row {index + 1} of {len(rows)}: {key} {reprlib.repr(value)} {problem}"
            )
