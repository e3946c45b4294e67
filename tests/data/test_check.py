"""What is refused, and what is warned of, before anything is trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sobench.data.check import checked_splits
from sobench.errors import DataError
from sobench.suite.datasets import CocoData, DataSpec, SyntheticData
from tests.data.small_datasets import MAKERS, coco_at, visdrone_at


def edit(root: Path, split: str, **changes: Any) -> None:
    """Replace lists of an annotation file."""
    file = root / f"{split}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def row(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 5, "category_id": 1, "bbox": [1, 1, 3, 3]} | changes


def refused(spec: DataSpec, limit: int | None = None) -> str:
    with pytest.raises(DataError) as error:
        checked_splits(spec, limit)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 2000
    return text


def warnings(spec: DataSpec, limit: int | None = None) -> list[str]:
    return list(checked_splits(spec, limit)[1])


def distinct(root: Path) -> CocoData:
    """Train and val with different images."""
    spec = coco_at(root)
    Image.new("RGB", (8, 6), "red").save(root / "images" / "val.png")
    return spec


def test_a_sound_data_set_has_no_warnings(tmp_path: Path) -> None:
    splits, texts = checked_splits(distinct(tmp_path), None)
    assert {name: len(dataset.images) for name, dataset in splits.items()} == {"train": 1, "val": 1}
    assert list(texts) == []


def test_classes_that_only_one_split_has_objects_of(tmp_path: Path) -> None:
    spec = distinct(tmp_path)
    classes = [{"id": n, "name": name} for n, name in enumerate(("car", "bus", "tram", "bike"), 1)]
    edit(tmp_path, "train", categories=classes, annotations=[row(), row(2, category_id=2)])
    edit(tmp_path, "val", categories=classes, annotations=[row(), row(2, category_id=3)])
    assert warnings(spec) == [
        "val: has objects of 1 of 4 classes (tram) that no training image has, so nothing can find "
        "them",
        "val: has no objects of 1 of 4 classes (bus), which have no AP and are left out of the "
        "mean",
    ]


def test_drawn_scenes_are_sound() -> None:
    assert warnings(SyntheticData(format="synthetic", train=2, val=2, size=(64, 64))) == []


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "'a' is used twice"),
        ({"categories": [{"id": 1, "name": "all"}]}, "class name 'all' is taken"),
        ({"categories": [{"id": 1, "name": "b\x1b[0m"}]}, r"'b\x1b[0m' is not a valid name"),
        ({"categories": [{"id": 1, "name": "ship"}]}, "the classes of train and val differ: "),
        ({"categories": [{"id": True, "name": "car"}]}, "id true and name 'car' are not a"),
        ({"annotations": []}, "split has no boxes at all; check dataset."),
        ({"annotations": [row(bbox=[1, 1, 1e308, 2])]}, "too large or too far away"),
        ({"annotations": [row(bbox=[1, 1, 2**62, 2**62])]}, "too large or too far away"),
        ({"annotations": [row(area=1e12)]}, "too large or too far away"),
        ({"annotations": [row(), row(bbox=[2, 2, 3, 3])]}, "used by two different annotations"),
    ],
)
def test_what_scoring_would_refuse(
    tmp_path: Path, split: str, changes: dict[str, Any], problem: str
) -> None:
    spec = distinct(tmp_path)
    edit(tmp_path, split, **changes)
    assert problem in refused(spec)


@pytest.mark.parametrize("number", [2**63, -(2**63), 10**30, True, 1.0, "1"])
def test_ids_that_cannot_be_stored(tmp_path: Path, number: object) -> None:
    spec = distinct(tmp_path)
    image = {"id": number, "file_name": "val.png", "width": 8, "height": 6}
    edit(tmp_path, "val", images=[image], annotations=[row(image_id=number)])
    assert "is not a whole number of 64 bits" in refused(spec)


def test_a_limit_that_leaves_no_boxes_is_named(tmp_path: Path) -> None:
    spec = distinct(tmp_path)
    shutil.copy(tmp_path / "images" / "val.png", tmp_path / "images" / "empty.png")
    entry = {"id": 5, "file_name": "val.png", "width": 8, "height": 6}
    edit(tmp_path, "val", images=[entry | {"id": 4, "file_name": "empty.png"}, entry])
    assert warnings(spec) == []
    assert "the first 1 images of the val split have no boxes" in refused(spec, limit=1)
    assert refused(spec, limit=1).endswith("; raise --limit")


@pytest.mark.parametrize("name", MAKERS)
def test_images_of_both_splits_are_told_by_content(tmp_path: Path, name: str) -> None:
    (warning,) = warnings(MAKERS[name](tmp_path))
    assert warning.startswith("val: 1 of its 1 images are in train as well, by their content (")


def test_one_split_for_both_is_told(tmp_path: Path) -> None:
    visdrone_at(tmp_path)
    for number in range(5):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / f"val/images/{number}.png")
        (tmp_path / f"val/annotations/{number}.txt").write_text("1,1,3,3,1,4,0,0\n")
    spec = visdrone_at(tmp_path / "x").model_copy(update={"root": str(tmp_path), "train": "val"})
    (warning,) = warnings(spec)
    assert "6 of its 6 images" in warning
    assert "(0.png, 1.png, 2.png, ...)" in warning
    assert "val: 2 of its 2 images" in warnings(spec, limit=2)[0]


def test_repeated_annotations_are_told_in_words(tmp_path: Path) -> None:
    spec = distinct(tmp_path)
    edit(tmp_path, "train", annotations=[row(1), row(1), row(2), row(3, bbox=[2, 2, 3, 3])])
    splits, texts = checked_splits(spec, None)
    assert len(splits["train"].images[0].boxes) == 3
    assert list(texts) == [
        "train: 1 annotations repeated under the same id, counted once",
        "train: 1 exact repetitions of a box of the same image and class, each counted",
    ]


def test_images_of_16_bits_are_told(tmp_path: Path) -> None:
    spec = distinct(tmp_path)
    grey = np.arange(48, dtype=np.uint16).reshape(6, 8)
    Image.fromarray(grey).save(tmp_path / "images" / "val.png")
    assert warnings(spec) == ["val: 1 images of more than 8 bits, scaled by their own range"]
