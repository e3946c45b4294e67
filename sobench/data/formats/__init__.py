"""The layouts of datasets on disk: a table of names, and one module for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.data.formats import coco, tt100k, visdrone, voc, yolo


class Format(Protocol):
    """The functions of a layout's module.

    ``root`` is the folder of the dataset, ``spec`` the ``dataset`` section of a suite.
    """

    def read(self, root: Path, spec: Any, split: Split, /) -> Dataset:
        """Read the annotations of one split.

        Raises:
            DataError: an annotation is missing or broken.
        """

    def sources(self, root: Path, spec: Any, split: Split, /) -> tuple[list[Path], list[Path]]:
        """The annotation files of a split, and its image folders or image files.

        Raises:
            DataError: they cannot be listed.
        """

    def identity(self, root: Path, spec: Any, /) -> tuple[str, ...]:
        """Texts that tell apart datasets with the same annotation files and images.

        Raises:
            DataError: a file that holds them is missing or broken.
        """


FORMATS: dict[str, Format] = {
    "coco": coco,
    "visdrone": visdrone,
    "voc": voc,
    "yolo": yolo,
    "tt100k": tt100k,
}
"""``dataset.format`` -> its module. Drawn scenes have no files, so they are not in the table."""
