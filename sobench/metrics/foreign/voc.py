"""Results with corners as PASCAL VOC counts them: 1-based, and the last pixel is inside.

There are two layouts: a text file for each image, and the devkit's for each class.
"""

from __future__ import annotations

import re
from pathlib import Path

from sobench.errors import DataError
from sobench.metrics.foreign.rows import ForeignRows, RowCollector, as_key
from sobench.metrics.foreign.text_rows import cells_of, numbers, text_files
from sobench.text import plain

FORM = "class score x1 y1 x2 y2"
CLASS_FORM = "image score x1 y1 x2 y2"

CLASS_FILE = re.compile(r"comp\d+_det_[^_]+_(?P<label>.+)\.txt")
"""The name of the devkit's files, such as ``comp4_det_test_car.txt``."""


def read(path: Path) -> ForeignRows:
    """Read a folder of text files that are called as the images.

    Names of classes may have blanks: the last five columns are numbers.

    Raises:
        DataError: a file cannot be read, or a row is malformed.
    """
    collector = RowCollector()
    for file in text_files(path):
        collector.start_file(file)
        for row, cells in cells_of(file):
            name, score, box = _columns(cells, file, row, FORM)
            collector.add(row, file.stem, as_key(name), box, score)
    return collector.rows()


def read_classes(path: Path) -> ForeignRows:
    """Read the devkit's text files, one for each class, such as ``comp4_det_test_car.txt``.

    Raises:
        DataError: a file cannot be read or is called otherwise, or a row is malformed.
    """
    collector = RowCollector()
    for file in [path] if path.is_file() else text_files(path):
        match = CLASS_FILE.fullmatch(file.name)
        if match is None:
            raise DataError(
                f"{file}: is not called comp4_det_SET_CLASS.txt, from which its class is known"
            )
        collector.start_file(file)
        for row, cells in cells_of(file):
            image, score, box = _columns(cells, file, row, CLASS_FORM)
            collector.add(row, image, match["label"], box, score)
    return collector.rows()


def _columns(
    cells: list[str], file: Path, row: int, form: str
) -> tuple[str, float, tuple[float, float, float, float]]:
    """The name, the score, and the box as ``x, y, w, h``."""
    if len(cells) < 6:
        raise DataError(
            f"{file}, row {row}: {len(cells)} columns in {plain(' '.join(cells))}; a row is {form}"
        )
    score, xmin, ymin, xmax, ymax = numbers(cells[-5:], file, row, form)
    # As the annotations are read: xmin - 1, ymin - 1, xmax, ymax.
    return " ".join(cells[:-5]), score, (xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1)
