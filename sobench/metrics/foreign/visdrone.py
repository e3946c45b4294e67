"""VisDrone-DET results: one text file for each image, with rows of eight columns."""

from __future__ import annotations

from pathlib import Path

from sobench.errors import DataError
from sobench.metrics.foreign.rows import ForeignRows, RowCollector
from sobench.metrics.foreign.text_rows import cells_of, numbers, text_files, whole_number
from sobench.text import plain

FORM = "left,top,width,height,score,category,-1,-1"
_COLUMNS = 8


def read(path: Path) -> ForeignRows:
    """Read a folder of text files that are called as the images.

    The last two columns, truncation and occlusion, are -1 in results and may be left out.

    Raises:
        DataError: a file cannot be read, a row is malformed, or the files are annotations.
    """
    collector, is_truth, count = RowCollector(), True, 0
    for file in text_files(path):
        collector.start_file(file)
        for row, cells in cells_of(file, ","):
            if len(cells) not in (_COLUMNS - 2, _COLUMNS):
                raise DataError(
                    f"{file}, row {row}: {len(cells)} columns in {plain(','.join(cells))}; "
                    f"a row is {FORM}"
                )
            left, top, width, height, score, category, *others = numbers(cells, file, row, FORM)
            label = whole_number(category, cells[5], file, row)
            collector.add(row, file.stem, label, (left, top, width, height), score)
            # Annotations say by a score of 1 that a row counts, and have no -1.
            is_truth = is_truth and bool(others) and score in (0, 1) and min(others) >= 0
            count += 1
    if is_truth and count:
        raise DataError(
            f"{path}: every score is 0 or 1 and no row ends in -1,-1: these are annotations, "
            f"ground truth and not detections; a row of detections is {FORM}"
        )
    return collector.rows()
