"""YOLO results: one text file for each image, with boxes in fractions of it and scores."""

from __future__ import annotations

from pathlib import Path

from sobench.errors import DataError
from sobench.metrics.foreign.rows import ForeignRows, RowCollector
from sobench.metrics.foreign.text_rows import cells_of, numbers, text_files, whole_number
from sobench.text import plain

FORM = "class cx cy w h score"
_FARTHEST = 1.5
"""A box may reach out of its image, but larger fractions are pixels."""


def read(path: Path) -> ForeignRows:
    """Read a folder of text files that are called as the images.

    Classes are 0-based positions; scores are the last column, as ``save_conf`` writes them.

    Raises:
        DataError: a file cannot be read, or a row is malformed or has no score.
    """
    collector = RowCollector()
    for file in text_files(path):
        collector.start_file(file)
        for row, cells in cells_of(file):
            if len(cells) != 6:
                raise DataError(f"{file}, row {row}: {_wrong_columns(cells)}; a row is {FORM}")
            number, cx, cy, w, h, score = numbers(cells, file, row, FORM)
            label = whole_number(number, cells[0], file, row)
            if max(cx, cy, w, h) > _FARTHEST:
                raise DataError(
                    f"{file}, row {row}: {plain(' '.join(cells[1:5]))} are not fractions of the "
                    f"image; divide pixels by its width and height; a row is {FORM}"
                )
            collector.add(row, file.stem, label, (cx, cy, w, h), score)
    return collector.rows(are_fractions=True, are_positions=True)


def _wrong_columns(cells: list[str]) -> str:
    if len(cells) == 5:
        return (
            "5 columns, and no score: these are labels, or detections that were written without "
            "their confidence (save_conf=True writes it)"
        )
    return f"{len(cells)} columns in {plain(' '.join(cells))}"
