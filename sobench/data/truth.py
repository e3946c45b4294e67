"""Annotations by their place alone, without a suite."""

from __future__ import annotations

import os
from pathlib import Path

from sobench.data.dataset import Dataset
from sobench.data.load import read_annotations
from sobench.data.recognise import recognise
from sobench.suite.datasets import CocoData

_CONFIGS = (".yaml", ".yml")


def read_truth(path: Path) -> Dataset:
    """The annotations in a COCO file, or of the val split of a folder whose layout is recognised.

    Raises:
        DataError: nothing is there, it is something else, or an annotation is broken.
    """
    if not os.path.isfile(path) or path.suffix.lower() in _CONFIGS:  # noqa: PTH113
        return read_annotations(recognise(path).spec(), "val")
    # Images are not opened, so their names may lead anywhere.
    spec = CocoData(
        format="coco", root=str(path.parent), train=path.name, val=path.name, outside_root=True
    )
    return read_annotations(spec, "val")
