"""Folders of text files with one detection a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sobench.data.annotation_files import read_rows
from sobench.errors import DataError
from sobench.text import plain

NOT_DETECTIONS = ("classes.txt", "labels.txt", "README.txt")
"""Text files that tools put beside those with detections."""


def text_files(folder: Path) -> list[Path]:
    """The text files of a folder that may hold detections, sorted.

    Raises:
        DataError: the folder cannot be read, or has none.
    """
    try:
        files = sorted(
            file
            for file in folder.iterdir()
            if file.name.endswith(".txt") and file.name not in NOT_DETECTIONS
        )
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None
    if not files:
        raise DataError(f"{folder}: holds no .txt files; give the folder that holds the detections")
    return files


def cells_of(file: Path, separator: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row that is not blank, with its 1-based line.

    Args:
        separator: between cells; ``None`` for blanks.

    Raises:
        DataError: the file cannot be read, or is not text.
    """
    for number, row in read_rows(file):
        text = row.removesuffix(",") if separator == "," else row
        yield number, [cell.strip() for cell in text.split(separator)]


def numbers(cells: list[str], file: Path, row: int, what: str) -> list[float]:
    """Cells as numbers, NaN and infinity among them; ``what`` names the columns.

    Raises:
        DataError: one is not a number.
    """
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        wrong = next(cell for cell in cells if not _is_number(cell))
        raise DataError(
            f"{file}, row {row}: {plain(wrong)!r} is not a number; a row is {what}"
        ) from None


def whole_number(value: float, cell: str, file: Path, row: int) -> int:
    """The number of a class.

    Raises:
        DataError: it is not whole.
    """
    if not value.is_integer():
        raise DataError(f"{file}, row {row}: class {plain(cell)} is not a whole number")
    return int(value)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
