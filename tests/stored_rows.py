"""Detections as rows, which tests are written in: to and from tables and files of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sobench.metrics.detections import (
    DetectionRow,
    DetectionTable,
    read_detections,
    tabulate,
    write_detections,
)


def rows_of(table: DetectionTable) -> list[DetectionRow]:
    columns = (table.image_ids, table.category_ids, table.boxes, table.scores)
    return [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, box, score in zip(*(c.tolist() for c in columns), strict=True)
    ]


def read_rows(path: Path, digest: str | None = None) -> list[DetectionRow]:
    return rows_of(read_detections(path, digest))


def write_rows(path: Path, rows: Sequence[DetectionRow]) -> str:
    return write_detections(path, tabulate(rows, "detections"))
