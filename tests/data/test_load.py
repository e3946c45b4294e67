"""Roots are expanded, splits are checked as a whole, and fingerprints see what matters."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from sobench.data.load import check_images, expand_root, fingerprint, load, read_annotations
from sobench.errors import DataError
from sobench.suite.datasets import (
    CocoData,
    DataSpec,
    SyntheticData,
    Tt100kData,
    VisDroneData,
    VocData,
    YoloData,
)


def coco_at(root: Path, boxes: bool = True) -> CocoData:
    """Train and val with one 8x6 image each."""
    for split in ("train", "val"):
        row = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [1, 1, 3, 3]}
        content: dict[str, Any] = {
            "images": [{"id": 5, "file_name": f"{split}.png", "width": 8, "height": 6}],
            "categories": [{"id": 1, "name": "car"}],
            "annotations": [row] if boxes else [],
        }
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / f"{split}.json").write_text(json.dumps(content))
        Image.new("RGB", (8, 6)).save(root / "images" / f"{split}.png")
    return CocoData(format="coco", root=str(root), train="train.json", val="val.json")


def visdrone_at(root: Path) -> VisDroneData:
    for split in ("train", "val"):
        for name in ("images", "annotations"):
            (root / split / name).mkdir(parents=True)
        (root / split / "annotations" / "a.txt").write_text("1,1,3,3,1,4,0,0\n")
        Image.new("RGB", (8, 6)).save(root / split / "images" / "a.jpg")
    return VisDroneData(format="visdrone", root=str(root), train="train", val="val")


def voc_at(root: Path) -> VocData:
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax>"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for split in ("train", "val"):
        (root / "Annotations" / f"{split}1.xml").write_text(
            "<annotation><size><width>8</width><height>6</height></size>"
            f"<object><name>dog</name><bndbox>{corners}</bndbox></object></annotation>"
        )
        Image.new("RGB", (8, 6)).save(root / "JPEGImages" / f"{split}1.jpg")
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split}1\n")
    return VocData(format="voc", root=str(root))


def yolo_at(root: Path) -> YoloData:
    for split in ("train", "val"):
        for name in ("images", "labels"):
            (root / name / split).mkdir(parents=True)
        Image.new("RGB", (8, 6)).save(root / "images" / split / "a.png")
        (root / "labels" / split / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    config = {"path": str(root), "train": "images/train", "val": "images/val", "names": ["car"]}
    (root / "data.yaml").write_text(yaml.safe_dump(config))
    return YoloData(format="yolo", root=str(root))


def tt100k_at(root: Path) -> Tt100kData:
    corners = {"xmin": 1, "ymin": 1, "xmax": 4, "ymax": 4}
    images = {}
    for key, split in (("1", "train"), ("2", "test")):
        (root / split).mkdir(parents=True)
        (root / split / "ids.txt").write_text(f"{key}\n")
        Image.new("RGB", (8, 6)).save(root / split / f"{key}.jpg")
        sign = {"category": "wo", "bbox": corners}
        images[key] = {"path": f"{split}/{key}.jpg", "objects": [sign]}
    (root / "annotations.json").write_text(json.dumps({"imgs": images, "types": ["wo"]}))
    return Tt100kData(format="tt100k", root=str(root), classes=("wo",))


MAKERS: dict[str, Callable[[Path], DataSpec]] = {
    "coco": coco_at,
    "visdrone": visdrone_at,
    "voc": voc_at,
    "yolo": yolo_at,
    "tt100k": tt100k_at,
}


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
    assert f"no folder {tmp_path / 'none'} (from $SET_ROOT/none)" in str(error.value)


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
    assert len(fingerprint(spec)) == 12
    assert fingerprint(spec) != fingerprint(spec.model_copy(update={"seed": 1}))


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


@pytest.mark.parametrize("name", MAKERS)
def test_a_fingerprint_does_not_depend_on_the_place(tmp_path: Path, name: str) -> None:
    first, second = MAKERS[name](tmp_path / "a"), MAKERS[name](tmp_path / "b" / "c")
    assert fingerprint(first) == fingerprint(second)
    assert len(fingerprint(first)) == 12
    assert set(fingerprint(first)) <= set("0123456789abcdef")


def test_a_subset_has_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    spec = MAKERS["coco"](tmp_path / "coco")
    subsets = [spec, *(spec.model_copy(update={"max_area": area}) for area in (100.0, 1024.0))]
    assert len({fingerprint(subset) for subset in subsets}) == 3


def test_formats_do_not_share_fingerprints(tmp_path: Path) -> None:
    prints = {fingerprint(make(tmp_path / name)) for name, make in MAKERS.items()}
    assert len(prints) == len(MAKERS)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("coco", "val.json"),
        ("coco", "images/train.png"),
        ("visdrone", "train/annotations/a.txt"),
        ("visdrone", "val/images/a.jpg"),
        ("voc", "Annotations/train1.xml"),
        ("voc", "ImageSets/Main/val.txt"),
        ("voc", "JPEGImages/val1.jpg"),
        ("yolo", "labels/val/a.txt"),
        ("yolo", "images/train/a.png"),
        ("tt100k", "annotations.json"),
        ("tt100k", "test/ids.txt"),
        ("tt100k", "train/1.jpg"),
    ],
)
def test_a_fingerprint_sees_every_file(tmp_path: Path, name: str, file: str) -> None:
    spec = MAKERS[name](tmp_path)
    before = fingerprint(spec)
    with (tmp_path / file).open("ab") as stream:
        stream.write(b"\n")
    after = fingerprint(spec)
    assert after != before


def test_a_fingerprint_sees_renamed_images_and_other_classes(tmp_path: Path) -> None:
    spec = coco_at(tmp_path / "coco")
    before = fingerprint(spec)
    (tmp_path / "coco/images/val.png").rename(tmp_path / "coco/images/vel.png")
    assert fingerprint(spec) != before

    voc = voc_at(tmp_path / "voc")
    assert fingerprint(voc) != fingerprint(voc.model_copy(update={"classes": ("dog",)}))

    yolo = yolo_at(tmp_path / "yolo")
    before = fingerprint(yolo)
    config = tmp_path / "yolo" / "data.yaml"
    config.write_text(config.read_text().replace("car", "ship"))
    assert fingerprint(yolo) != before


def test_a_fingerprint_of_listed_images_does_not_depend_on_the_place(tmp_path: Path) -> None:
    prints = []
    for place in ("a", "b/c"):
        root = tmp_path / place
        spec = yolo_at(root)
        (root / "val.txt").write_text(f"{root}/images/val/a.png\n")
        config = root / "data.yaml"
        config.write_text(config.read_text().replace("val: images/val", "val: val.txt"))
        prints.append(fingerprint(spec))
    assert prints[0] == prints[1]


def test_a_fingerprint_of_missing_data_is_refused(tmp_path: Path) -> None:
    spec = coco_at(tmp_path)
    (tmp_path / "val.json").unlink()
    with pytest.raises(DataError, match=r"val\.json: the annotation file cannot be read"):
        fingerprint(spec)
    coco_at(tmp_path)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(DataError, match="no such image folder"):
        fingerprint(spec)


def test_a_fingerprint_of_thousands_of_files_is_quick(tmp_path: Path) -> None:
    spec = visdrone_at(tmp_path)
    for number in range(3000):
        (tmp_path / "train" / "annotations" / f"{number:07}.txt").write_bytes(b"1,1,3,3,1,4,0,0\n")
        os.link(tmp_path / "train/images/a.jpg", tmp_path / "train/images" / f"{number:07}.jpg")
    start = time.process_time()
    fingerprint(spec)
    assert time.process_time() - start < 1


def test_real_data_is_loaded(shared_data: Path) -> None:
    root = str(shared_data / "deeppcb_mini")
    spec = CocoData(format="coco", root=root, train="train.json", val="val.json")
    assert len(load(spec, "train").images) == 241
    assert len(load(spec, "val").images) == 79
    assert fingerprint(spec) == fingerprint(spec)
