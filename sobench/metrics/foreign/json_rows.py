"""The objects of a list in JSON, one at a time, so that memory does not grow with the file."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from sobench.errors import DataError
from sobench.regular_files import open_regular
from sobench.text import quoted, shortened

_CHUNK = 2**20
"""Characters that are read at once."""

_LONGEST = 2**24
"""Characters of the longest object; masks and polygons of a detection take some thousands."""

_MARGIN = 64
"""Characters before the end of a chunk in which a number, name or escape may be cut off."""

_BLANK = re.compile(r"[ \t\n\r]*")
_BETWEEN = re.compile(r"[ \t\n\r]*,[ \t\n\r]*(?=\{)")
"""What stands between two objects."""
_KEY_OF_LIST = re.compile(r'"(\w+)"\s*:\s*\[')
_GZIP = b"\x1f\x8b"


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A text file in UTF-8, unpacked if it is packed by gzip.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    with open_regular(path) as file:
        is_packed = file.peek(2)[:2] == _GZIP
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if is_packed else file
        with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            yield text


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list in a JSON file, each with its 1-based number.

    Raises:
        DataError: the file cannot be read, or does not hold a list of objects.
    """
    try:
        with open_text(path) as file:
            yield from _objects(_Window(file, path))
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not a UTF-8 text file; give detections as JSON") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: cannot be unpacked ({error}): it is cut off or damaged; copy it again"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _objects(window: _Window) -> Iterator[tuple[int, dict[str, Any]]]:
    first = window.next_character()
    if first != "[":
        raise DataError(_not_a_list(window, first))
    window.at += 1
    number, character = 1, window.next_character()
    while character != "]" or number > 1:
        if character != "{":
            raise window.error(f"row {number} is not an object", character)
        yield number, window.next_object(number)
        number += 1
        if between := _BETWEEN.match(window.text, window.at):  # as nearly always
            window.at, character = between.end(), "{"
            continue
        after = window.next_character()
        if after == "]":
            break
        if after != ",":
            raise window.error(f"no comma after row {number - 1}", after)
        window.at += 1
        character = window.next_character()
    window.at += 1
    if extra := window.next_character():
        raise window.error("something follows the list", extra)


def _not_a_list(window: _Window, first: str) -> str:
    """The message about a file that does not begin as a list."""
    path = window.path
    if not first:
        return f"{path}: is empty; a file without detections holds []"
    if first != "{":
        return f"{path}: is not JSON; give a list of COCO result rows"
    found = {*_KEY_OF_LIST.findall(window.text)}
    if keys := [key for key in ("images", "annotations", "categories") if key in found]:
        return (
            f"{path}: is a COCO annotation file, with {', '.join(keys)}: ground truth, not "
            "detections; give the list of result rows"
        )
    return f"{path}: holds one object, not a list; give the list of COCO result rows"


class _Window:
    """The part of a text that is being looked at; what lies before it is forgotten."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self.path, self.text, self.at = path, "", 0
        self._file = file
        self._line, self._column = 1, 0  # of the first character of the text, lines from 1
        self._decode = json.JSONDecoder().raw_decode

    def next_character(self) -> str:
        """The next one that is not blank, and go there; empty at the end."""
        while True:
            found = _BLANK.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._grow():
                return ""

    def next_object(self, number: int) -> dict[str, Any]:
        """The object that begins here, and go behind it."""
        while True:
            try:
                value, self.at = self._decode(self.text, self.at)
                return cast(dict[str, Any], value)
            except json.JSONDecodeError as error:
                if len(self.text) - self.at > _LONGEST:
                    raise DataError(
                        f"{self.path}, row {number}: has no end within {_LONGEST} characters; give "
                        "one object for each detection"
                    ) from None
                # What is only cut off by the chunk fails at its end.
                is_wrong = error.pos < len(self.text) - _MARGIN and "Untermin" not in error.msg
                if is_wrong or not self._grow():
                    self.at, is_open = error.pos, "Unterminated" in error.msg
                    end = "" if is_open else self.text[error.pos : error.pos + 1]
                    raise self.error(f"row {number}: {error.msg}", end) from None
            except RecursionError:
                raise self.error(f"row {number} is nested too deep", "{") from None
            except ValueError as error:  # numbers of thousands of digits
                raise self.error(f"row {number}: {shortened(str(error))}", "{") from None

    def error(self, problem: str, character: str) -> DataError:
        """What is wrong here; at the end of the text, that it is cut off."""
        before = self.text[: self.at]
        line = self._line + before.count("\n")
        start = before.rfind("\n")
        column = len(before) - start if start >= 0 else self._column + len(before) + 1
        where = f"{self.path}, line {line}, character {column}"
        if not character:
            return DataError(
                f"{where}: the file ends within its list; it is cut off: copy it again"
            )
        return DataError(f"{where}: is not valid JSON ({problem}, at {quoted(character)})")

    def _grow(self) -> bool:
        """Forget what is behind, and read on; whether there was more."""
        more = self._file.read(max(_CHUNK, len(self.text) - self.at))
        if not more:
            return False
        gone = self.text[: self.at]
        self._line += gone.count("\n")
        self._column = (
            len(gone) - gone.rfind("\n") - 1 if "\n" in gone else self._column + len(gone)
        )
        self.text, self.at = self.text[self.at :] + more, 0
        return True
