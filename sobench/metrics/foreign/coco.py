"""COCO result rows in JSON, as pycocotools, MMDetection, Detectron2 and Ultralytics write them."""

from __future__ import annotations

import reprlib
from numbers import Real
from pathlib import Path
from typing import Any

from sobench.errors import DataError
from sobench.metrics.foreign.json_rows import read_objects
from sobench.metrics.foreign.rows import ForeignRows, Key, RowCollector

FORM = 'a row is {"image_id": 1, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9}'


def read(path: Path) -> ForeignRows:
    """Read a list of result rows, packed by gzip or not, row by row.

    ``image_id`` and ``category_id`` may be names as well; ``file_name`` counts more than
    ``image_id``, and ``category_name`` stands in for a missing ``category_id``. Other keys are
    passed over.

    Raises:
        DataError: the file cannot be read, or a row is malformed.
    """
    collector = RowCollector()
    collector.start_file(path)
    for number, row in read_objects(path):
        try:
            image = row["file_name"] if "file_name" in row else row["image_id"]
            label = row["category_id"] if "category_id" in row else row["category_name"]
            box, score = row["bbox"], row["score"]
            is_regular = (
                type(image) in (int, str)
                and type(label) in (int, str)
                and type(box) is list
                and len(box) == 4
                and bool not in (type(score), *map(type, box))
            )
            if not is_regular:
                raise TypeError
            collector.add(number, image, label, box, score)
        except (KeyError, TypeError, OverflowError):
            raise DataError(f"{path}, row {number}: {_problem(row)}; {FORM}") from None
    return collector.rows()


def _problem(row: dict[str, Any]) -> str:
    """What keeps an object from being a result row."""
    if "score" not in row:
        if row.keys() & {"iscrowd", "area"}:
            return "no 'score': this is an annotation, ground truth and not a detection"
        return "no 'score'; a detector says how sure it is of each box"
    for key, other in (("image_id", "file_name"), ("category_id", "category_name")):
        name = other if key not in row or (other == "file_name" and other in row) else key
        if name not in row:
            return f"no {key!r}"
        value = row[name]
        if type(value) not in (int, str):
            return f"{name} {reprlib.repr(value)} is not a whole number or a name"
    if "bbox" not in row:
        return "no 'bbox'"
    box, score = row["bbox"], row["score"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        return f"bbox {reprlib.repr(box)} is not four numbers"
    return f"score {reprlib.repr(score)} is not a number"


def _is_number(value: Key | Any) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True
