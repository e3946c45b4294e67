"""``dataset.holdout``: a part of the only split is scored; and YOLO's file of any name."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from pydantic import TypeAdapter

from sobench.data.check import checked_splits
from sobench.data.fingerprint import fingerprint
from sobench.data.load import load
from sobench.errors import SuiteError
from sobench.suite.datasets import CocoData, DataSpec, VisDroneData, YoloData
from sobench.suite.plan import Run
from tests.data.small_datasets import coco_at, yolo_at
from tests.tiny_suite import tiny_suite


def one_split(root: Path, holdout: float = 0.25) -> VisDroneData:
    for folder in ("images", "annotations"):
        (root / "all" / folder).mkdir(parents=True, exist_ok=True)
    for number in range(8):
        Image.new("RGB", (8, 6), (30 * number, 0, 0)).save(
            root / "all" / "images" / f"{number}.jpg"
        )
        (root / "all" / "annotations" / f"{number}.txt").write_text("1,1,3,3,1,4,0,0\n")
    return VisDroneData(format="visdrone", root=str(root), train="all", holdout=holdout)


def names(spec: DataSpec) -> list[set[str]]:
    return [{image.name for image in load(spec, split).images} for split in ("train", "val")]


def test_the_parts_are_those_of_one_split(tmp_path: Path) -> None:
    train, val = names(one_split(tmp_path))
    assert (len(train), len(val)) == (6, 2)
    assert not train & val
    assert names(one_split(tmp_path)) == [train, val]
    splits, warnings = checked_splits(one_split(tmp_path), None)
    assert (len(splits["train"].images), len(splits["val"].images)) == (6, 2)
    assert list(warnings) == []


def test_the_fingerprint_is_of_the_split_and_its_division(tmp_path: Path) -> None:
    whole, other = one_split(tmp_path), one_split(tmp_path, 0.5)
    assert fingerprint(whole) == fingerprint(one_split(tmp_path))
    assert fingerprint(whole) != fingerprint(other)
    before = fingerprint(whole)
    (tmp_path / "all" / "annotations" / "3.txt").write_text("1,1,3,4,1,4,0,0\n")
    assert fingerprint(whole) != before


def test_tuning_divides_what_is_left_to_train_on(tmp_path: Path) -> None:
    train, val = names(one_split(tmp_path))
    splits, _ = checked_splits(one_split(tmp_path), None, 0.34)
    trial = [{image.name for image in splits[name].images} for name in ("train", "val")]
    assert trial[0] | trial[1] == train
    assert (len(trial[0]), len(trial[1])) == (4, 2)
    assert not trial[1] & val


def test_coco_needs_no_file_for_val_then(tmp_path: Path) -> None:
    root = str(coco_at(tmp_path).root)
    content = {"format": "coco", "root": root, "train": "train.json", "train_images": "pictures"}
    spec = TypeAdapter(DataSpec).validate_python(content | {"holdout": 0.2})
    assert isinstance(spec, CocoData)
    assert (spec.val, spec.val_images) == ("train.json", "pictures")
    with pytest.raises(SuiteError, match=r"dataset.*val"):
        tiny_suite(dataset=content)


def test_runs_without_it_keep_their_identity(tmp_path: Path) -> None:
    dataset = {"format": "yolo", "root": str(tmp_path), "train": "train", "val": "val"}

    def identity(**changes: object) -> str:
        suite = tiny_suite().model_copy(
            update={"dataset": TypeAdapter(DataSpec).validate_python(dataset | changes)}
        )
        return Run(suite, suite.methods[0], 0, "0123456789ab").settings_id

    plain = identity()
    # As before there were these keys: the file with the classes is a place, its content counts.
    assert identity(config="my.yaml") == identity(holdout=0) == plain
    assert identity(holdout=0.2) != plain


@pytest.mark.parametrize("name", ["my.yaml", "set.v2.YML"])
def test_a_root_that_is_the_file_of_yolo(tmp_path: Path, name: str) -> None:
    yolo_at(tmp_path)
    (tmp_path / "data.yaml").rename(tmp_path / name)
    spec = YoloData(format="yolo", root=str(tmp_path / name))
    assert (spec.root, spec.config) == (str(tmp_path), name)
    assert names(spec) == [{"a.png"}, {"a.png"}]
    assert YoloData.model_validate(spec.model_dump()) == spec
    (tmp_path / name).write_text("names: [ship]\ntrain: images/train\nval: images/val\n")
    assert load(spec, "train").classes == ("ship",)
