"""Small datasets in the layout of TT100K, written to disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.data.formats import tt100k
from sobench.errors import DataError
from sobench.suite.datasets import Tt100kData

SPEC = Tt100kData(format="tt100k", root=".")
TYPES = [*tt100k.CLASSES, "ps", "w8"]


def sign(category: object = "pl30", box: tuple[object, ...] = (10.5, 20, 30, 40)) -> dict[str, Any]:
    return {"category": category, "bbox": dict(zip(tt100k.CORNERS, box, strict=True))}


def write(
    root: Path,
    images: dict[str, list[Any]],
    types: list[str] = TYPES,
    ids: dict[str, list[str]] | None = None,
    name: str = "annotations.json",
) -> None:
    """Images by path, 100x50 each; the id is the file's stem."""
    entries = {}
    for path, objects in images.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 50)).save(root / path)
        stem = Path(path).stem
        entries[stem] = {"path": path, "id": int(stem), "objects": objects}
    root.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps({"imgs": entries, "types": types}))
    for split, keys in (ids or {}).items():
        (root / split).mkdir(exist_ok=True)
        (root / split / tt100k.IDS).write_text("\n".join(keys) + "\n")


def read(root: Path, spec: Tt100kData = SPEC, split: Split = "val") -> Dataset:
    return tt100k.read(root, spec, split)


def refused(root: Path, spec: Tt100kData = SPEC, split: Split = "val") -> str:
    with pytest.raises(DataError) as error:
        read(root, spec, split)
    message = str(error.value)
    assert str(root) in message
    assert "\n" not in message
    return message
