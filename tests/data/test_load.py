"""Roots are expanded, every format is loaded, and splits are checked as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from sobench.data.formats import FORMATS
from sobench.data.load import check_images, expand_root, load, read_annotations
from sobench.errors import DataError
from sobench.suite.datasets import FileData, SyntheticData
from tests.data.small_datasets import MAKERS, coco_at, yolo_at
from tests.real_data import BCCD_SPEC


@pytest.mark.parametrize("written", ["${SET_ROOT}/data", "$SET_ROOT/data", "~/data"])
def test_root_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("SET_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_root(written) == tmp_path / "data"


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("NO_SUCH_ROOT", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_SUCH_ROOT", value)
    with pytest.raises(DataError, match="NO_SUCH_ROOT, which is not set") as error:
        expand_root("${NO_SUCH_ROOT}/VisDrone")
    assert "export NO_SUCH_ROOT=" in str(error.value)
    assert "--set dataset.root=FOLDER" in str(error.value)


def test_a_missing_root_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_ROOT", str(tmp_path))
    with pytest.raises(DataError, match=r"--set dataset\.root=FOLDER") as error:
        expand_root("$SET_ROOT/none")
    assert "no folder $SET_ROOT/none; put the dataset there" in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_every_format_of_a_suite_has_its_module() -> None:
    names = {spec.model_fields["format"].annotation for spec in get_args(FileData)}
    assert {get_args(name)[0] for name in names} == set(FORMATS) == set(MAKERS)


@pytest.mark.parametrize("name", MAKERS)
def test_every_format_is_loaded(tmp_path: Path, name: str) -> None:
    spec = MAKERS[name](tmp_path)
    for split in ("train", "val"):
        dataset = load(spec, split)
        assert len(dataset.images) == 1
        assert len(dataset.images[0].boxes) == 1
        assert dataset.read_image(0).shape == (6, 8, 3)


def test_synthetic_scenes_are_loaded() -> None:
    spec = SyntheticData(format="synthetic", train=2, val=1, size=(64, 64), objects=(1, 3))
    assert len(load(spec, "train").images) == 2
    assert load(spec, "val").read_image(0).shape == (64, 64, 3)


def test_missing_images_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    spec = coco_at(tmp_path)
    image = tmp_path / "images" / "val.png"
    image.unlink()
    assert len(read_annotations(spec, "val").images) == 1
    with pytest.raises(DataError, match="1 of 1 are missing") as error:
        load(spec, "val")
    assert f"no image file {image} (image id 5;" in str(error.value)
    assert "put them back" in str(error.value)
    load(spec, "train")
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(DataError, match="no image folder for the file"):
        load(spec, "train")


def test_only_the_images_of_a_shortened_dataset_are_checked(tmp_path: Path) -> None:
    spec = yolo_at(tmp_path)
    Image.new("RGB", (8, 6)).save(tmp_path / "images" / "val" / "b.png")
    dataset = read_annotations(spec, "val")
    (tmp_path / "images" / "val" / "b.png").unlink()
    check_images(dataset.first(1))
    with pytest.raises(DataError, match="1 of 2 are missing"):
        check_images(dataset)


def test_training_needs_boxes_and_validation_does_not(tmp_path: Path) -> None:
    spec = coco_at(tmp_path, boxes=False)
    with pytest.raises(DataError, match=r"has no boxes at all; check dataset\.train"):
        load(spec, "train")
    assert len(load(spec, "val").images) == 1


def test_real_data_are_loaded() -> None:
    assert len(load(BCCD_SPEC, "train").images) == 2
    assert len(load(BCCD_SPEC, "val").images) == 1
