"""The layouts in which other tools write detections: a table of names, and a reader for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sobench.errors import DataError, RequestError, did_you_mean
from sobench.metrics.foreign import coco, csv_rows, visdrone, voc, yolo
from sobench.metrics.foreign.rows import ForeignRows
from sobench.metrics.foreign.text_rows import text_files
from sobench.regular_files import open_regular
from sobench.text import quoted


@dataclass(frozen=True)
class Layout:
    """A row of the table of layouts.

    Attributes:
        title: what it is, and who writes it.
        form: of a row.
        read: reads a file or folder; raises ``DataError``.
        is_folder: whether it is a folder of text files.
    """

    title: str
    form: str
    read: Callable[[Path], ForeignRows]
    is_folder: bool = True


LAYOUTS: dict[str, Layout] = {
    "coco": Layout("COCO result rows in JSON, or packed by gzip", coco.FORM, coco.read, False),
    "visdrone": Layout("VisDrone-DET, a .txt for each image", visdrone.FORM, visdrone.read),
    "yolo": Layout("YOLO with scores, a .txt for each image", yolo.FORM, yolo.read),
    "voc": Layout("corners from 1, a .txt for each image", voc.FORM, voc.read),
    "voc-devkit": Layout(
        "corners from 1, a comp4_det_SET_CLASS.txt for each class", voc.CLASS_FORM, voc.read_classes
    ),
    "csv": Layout("a table with a header", csv_rows.FORM, csv_rows.read, False),
}
"""Name of ``--layout`` -> the layout."""

_GZIP = b"\x1f\x8b"
_HEAD = 4096
_FILES, _ROWS = 20, 20
"""What is looked at to recognise the layout of a folder."""


def read_foreign(path: Path, layout: str = "") -> tuple[str, ForeignRows]:
    """The name of a layout and the detections in it.

    Args:
        path: a file, or a folder of text files.
        layout: of ``LAYOUTS``; by default it is recognised from the files.

    Raises:
        DataError: nothing is there, the layout is not recognised, or the files are not in it.
        RequestError: the layout is unknown.
    """
    if layout and layout not in LAYOUTS:
        raise RequestError(f"--layout: unknown {quoted(layout)};{did_you_mean(layout, LAYOUTS)}")
    try:
        path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError:  # NUL, or half a character
        raise DataError(f"{path}: no file can have that name; check the path") from None
    if layout and LAYOUTS[layout].is_folder is not path.is_dir() and layout != "voc-devkit":
        kinds = ("a folder of .txt files", "a file")
        needed, given = kinds if LAYOUTS[layout].is_folder else kinds[::-1]
        raise DataError(f"{path}: layout {layout} is {needed}, and this is {given.split(' of')[0]}")
    name = layout or (_of_folder(path) if path.is_dir() else _of_file(path))
    return name, LAYOUTS[name].read(path)


def _of_file(path: Path) -> str:
    """The layout of a single file."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(_GZIP) or text[:1] in (b"[", b"{") or path.suffix == ".json":
        return "coco"
    if voc.CLASS_FILE.fullmatch(path.name):
        return "voc-devkit"
    if b"\0" in head:
        raise DataError(f"{path}: is a binary file; {_known()}")
    first = text.split(b"\n", 1)[0]
    if path.suffix in (".csv", ".tsv") or re.search(rb"[A-Za-z]\w*[,;\t]\s*\w*[A-Za-z]", first):
        return "csv"
    if path.suffix == ".txt":
        raise DataError(f"{path}: is a single text file; give the folder that holds it")
    raise DataError(f"{path}: is in no known layout; {_known()}")


def _of_folder(folder: Path) -> str:
    """The layout of a folder of text files, from the first rows of some of them."""
    files = text_files(folder)
    if any(voc.CLASS_FILE.fullmatch(file.name) for file in files):
        return "voc-devkit"
    found: dict[str, Path] = {}
    for file in files:
        for row in _first_rows(file):
            name = _of_row(row)
            if not name:
                raise DataError(f"{file}: {quoted(row)} is a row of no known layout; {_known()}")
            found.setdefault(name, file)
        if found and file in files[_FILES:]:
            break
    if {*found} == {"yolo", "voc"}:  # small numbers may be fractions or pixels
        return "voc"
    if len(found) > 1:
        (first, one), (second, other) = list(found.items())[:2]
        raise DataError(f"{one} is of layout {first}, {other} of {second}; add --layout NAME")
    # Without a single row they are all alike.
    return next(iter(found), "visdrone")


def _first_rows(file: Path) -> list[str]:
    try:
        with open_regular(file) as content:
            head = content.read(_HEAD)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    if b"\0" in head:
        raise DataError(f"{file}: is a binary file; {_known()}")
    lines = head.decode("utf-8-sig", errors="replace").split("\n")
    # The last one may be cut off.
    whole = lines if len(head) < _HEAD else lines[:-1]
    return [row.strip() for row in whole if row.strip()][:_ROWS]


def _of_row(row: str) -> str:
    """The layout of a row; empty for none."""
    if "," in row:
        return "visdrone"
    cells = row.split()
    if len(cells) == 5 and not any(map(_is_large, cells[1:])):
        return "yolo"  # whose reader says that there is no score
    if len(cells) < 6:
        return ""
    is_number = len(cells) == 6 and cells[0].replace(".", "", 1).isdecimal()
    return "voc" if not is_number or any(map(_is_large, cells[2:5])) else "yolo"


def _is_large(cell: str) -> bool:
    """Whether a cell is no fraction of an image."""
    try:
        return float(cell) > 1.5
    except ValueError:
        return True


def _known() -> str:
    return f"known: {', '.join(LAYOUTS)} (docs/foreign.md); --layout NAME says which it is"
