"""A table with a header, with commas, semicolons or tabs between its columns."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from pathlib import Path

from sobench.errors import DataError
from sobench.metrics.foreign.json_rows import open_text
from sobench.metrics.foreign.rows import ForeignRows, RowCollector, as_key
from sobench.metrics.foreign.text_rows import numbers
from sobench.text import plain

COLUMNS: dict[str, tuple[str, ...]] = {
    "image": ("image", "image_id", "file_name", "filename", "file", "image_name", "image_path"),
    "class": ("class", "class_name", "category", "category_id", "category_name", "label", "name"),
    "score": ("score", "conf", "confidence"),
}
"""What a row needs -> the names that its column may have; capitals and blanks do not count."""

BOXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "corners": (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax")),
    "sides": (
        ("x", "y", "w", "h"),
        ("x", "y", "width", "height"),
        ("left", "top", "width", "height"),
        ("bbox_x", "bbox_y", "bbox_w", "bbox_h"),
        ("bbox_left", "bbox_top", "bbox_width", "bbox_height"),
    ),
}
"""How a box is given -> the names that its four columns may have."""

FORM = "image,class,score,x1,y1,x2,y2 or image,class,score,x,y,w,h"
_SEPARATORS = ",;\t"


def read(path: Path) -> ForeignRows:
    """Read a table whose first row names its columns; further columns are passed over.

    Corners are in pixels from the left upper corner, ``x2 - x1`` wide.

    Raises:
        DataError: the file cannot be read, a column is missing or could be one of two, or a row is
            malformed.
    """
    collector = RowCollector()
    collector.start_file(path)
    try:
        with open_text(path) as file:
            header = file.readline()
            separator = max(_SEPARATORS, key=header.count)
            places, are_corners = _places(next(csv.reader([header], delimiter=separator), []), path)
            last = max(places)
            for row, cells in enumerate(csv.reader(file, delimiter=separator, strict=True), 2):
                if not any(cells):
                    continue
                if len(cells) <= last:
                    raise DataError(f"{path}, row {row}: {len(cells)} columns; the header has more")
                image, label, *numeric = (cells[place].strip() for place in places)
                score, x, y, w, h = numbers(numeric, path, row, "score and box in numbers")
                box = (x, y, w - x, h - y) if are_corners else (x, y, w, h)
                collector.add(row, image, as_key(label), box, score)
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not a UTF-8 text file; save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}: is not a valid CSV file ({error})") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    return collector.rows()


def _places(header: Sequence[str], path: Path) -> tuple[list[int], bool]:
    """Positions of image, class, score and the four of the box; whether these are corners."""
    names = [name.strip().lower() for name in header]
    for name in names:
        if name and names.count(name) > 1:
            raise DataError(f"{path}: two columns are called {plain(name)!r}; rename one")
    places = []
    for what, aliases in COLUMNS.items():
        found = [name for name in aliases if name in names]
        if len(found) != 1:
            problem = f"both {' and '.join(found)} could be" if found else "no column is"
            raise DataError(
                f"{path}: {problem} the {what}; keep one called {', '.join(aliases)}. A header is "
                f"{FORM}"
            )
        places.append(names.index(found[0]))
    boxes = [
        (form, columns)
        for form, alternatives in BOXES.items()
        for columns in alternatives
        if {*columns} <= {*names}
    ]
    if len(boxes) != 1:
        valid = " or ".join(",".join(c) for alternatives in BOXES.values() for c in alternatives)
        problem = "several columns could be" if boxes else "no columns are"
        raise DataError(f"{path}: {problem} the box; keep four of these: {valid}")
    ((form, columns),) = boxes
    return places + [names.index(name) for name in columns], form == "corners"
