"""Annotation files as bytes, rows and JSON, and the values in them, whatever someone put there."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from sobench.errors import DataError
from sobench.regular_files import open_regular
from sobench.text import quoted
from sobench.yaml_text import shown as as_yaml

LARGEST_FILE = 2**33
"""Bytes of the largest annotation file that is read: published ones have up to a few gigabytes."""

LARGEST_ID = 2**63 - 1
"""Ids are stored as 64-bit integers."""


def shown(value: object) -> str:
    """A value for a message: a text in quotes, and all else as YAML has it, or JSON."""
    return quoted(value) if isinstance(value, str) else as_yaml(value)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer of 64 bits; true and false are not."""
    return type(value) is int and -LARGEST_ID <= value <= LARGEST_ID


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number that arrays can hold; true and false are not."""
    return is_whole(value) or (type(value) is float and math.isfinite(value))


def read_regular(path: Path) -> bytes:
    """The content of an annotation file.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger than ``LARGEST_FILE``; a
            ``FileNotFoundError`` if it does not exist.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST_FILE:
            raise OSError(errno.EFBIG, f"more than {LARGEST_FILE:,} bytes", str(path))
        return file.read()


def read_rows(path: Path) -> list[tuple[int, str]]:
    """The rows of a text file that are not blank, stripped, with their 1-based numbers.

    Raises:
        DataError: the file is missing or not text.
    """
    try:
        content = read_regular(path).decode("utf-8-sig")
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
                f"{path}, row {number}: {shown(key)} is not one image id; "
                "give an image set with one id per row"
            )
        if key in ids:
            raise DataError(
                f"{path}, row {number}: image {shown(key)} is also in row {ids[key]}; "
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
        return json.loads(read_regular(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file; correct {correct}") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: is not valid JSON ({error.msg}); replace the file"
        ) from None
    except RecursionError:
        raise DataError(f"{path}: is nested too deep; replace the file") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into memory; replace the file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); replace the file") from None
    # Bytes that are not text, or numbers of thousands of digits.
    except ValueError as error:
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
        f"{file}, {where}: {name} is {shown(cell)}, not a finite number; correct or remove the row"
    )


def _finite(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
