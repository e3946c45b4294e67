"""Detections as other tools write them, before images and classes are looked up in a data set."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sobench.data.dataset import FloatArray, IntArray

Key = int | str
"""What a file calls an image or a class: an id, a position or a name."""

_DIGITS = 18
"""Of a number that is an id; what is longer is a name, as no id of 64 bits is."""


def as_key(text: str) -> Key:
    """A text as a number where it is one."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else text


@dataclass(frozen=True)
class ForeignRows:
    """N detections as columns, in the order of the files.

    Attributes:
        files: that were read.
        file: ``[N]`` position in ``files``.
        row: ``[N]`` 1-based row in that file, or line where it has lines.
        image_keys, class_keys: what the files call images and classes, each once.
        image, label: ``[N]`` positions in ``image_keys`` and ``class_keys``.
        boxes: ``[N, 4]`` ``x, y, w, h`` in pixels of the original image; with ``are_fractions``
            ``cx, cy, w, h`` in fractions of its width and height.
        scores: ``[N]``.
        are_positions: whether whole numbers of classes are 0-based positions among the classes of
            the data set, and not their ids.
    """

    files: tuple[Path, ...]
    file: IntArray
    row: IntArray
    image_keys: tuple[Key, ...]
    class_keys: tuple[Key, ...]
    image: IntArray
    label: IntArray
    boxes: FloatArray
    scores: FloatArray
    are_fractions: bool = False
    are_positions: bool = False

    def __len__(self) -> int:
        return len(self.scores)

    def place(self, index: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.files[self.file[index]]}, row {self.row[index]}"


class RowCollector:
    """Takes rows one at a time and keeps numbers only, so that a file may be of any length."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._image_codes: dict[Key, int] = {}
        self._class_codes: dict[Key, int] = {}
        self._file, self._row, self._image, self._label = (array("q") for _ in range(4))
        self._boxes, self._scores = array("d"), array("d")

    def start_file(self, file: Path) -> None:
        """The rows that follow are of this file."""
        self._files.append(file)

    def add(self, row: int, image: Key, label: Key, box: Sequence[float], score: float) -> None:
        """Take one row.

        Raises:
            TypeError, OverflowError: a side of the box or the score is not a number that a float
                can hold; the collector is then of no use.
        """
        self._boxes.extend(box)
        self._scores.append(score)
        self._image.append(self._image_codes.setdefault(image, len(self._image_codes)))
        self._label.append(self._class_codes.setdefault(label, len(self._class_codes)))
        self._file.append(len(self._files) - 1)
        self._row.append(row)

    def rows(self, are_fractions: bool = False, are_positions: bool = False) -> ForeignRows:
        """All that was taken."""
        file, row, image, label = (
            np.frombuffer(column, np.int64) if column else np.empty(0, np.int64)
            for column in (self._file, self._row, self._image, self._label)
        )
        boxes, scores = (
            np.frombuffer(column, np.float64) if column else np.empty(0, np.float64)
            for column in (self._boxes, self._scores)
        )
        return ForeignRows(
            tuple(self._files), file, row, tuple(self._image_codes), tuple(self._class_codes),
            image, label, boxes.reshape(-1, 4), scores, are_fractions, are_positions,
        )  # fmt: skip
