"""Annotations by their place alone, without a suite."""

from __future__ import annotations

import os
from pathlib import Path

from sobench.data.dataset import Dataset
from sobench.data.load import read_annotations
from sobench.data.recognise import recognise
from sobench.suite.datasets import CocoData

_CONFIGS = (".yaml", ".yml")


def read_truth(path: Path) -> tuple[str, Dataset]:
    """The format and the annotations of a COCO file, or of the val split of a recognised folder.

    Raises:
        DataError: nothing is there, it is something else, or an annotation is broken.
    """
    if not os.path.isfile(path) or path.suffix.lower() in _CONFIGS:  # noqa: PTH113
        found = recognise(path).spec()
        return found.format, read_annotations(found, "val")
    # Images are not opened, so their names may lead anywhere.
    spec = CocoData(
        format="coco", root=str(path.parent), train=path.name, val=path.name, outside_root=True
    )
    return spec.format, read_annotations(spec, "val")
