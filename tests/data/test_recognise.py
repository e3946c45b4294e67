"""Layouts are found out from the files of a folder, and told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from sobench.data.load import load
from sobench.data.recognise import recognise
from sobench.errors import DataError, RequestError
from sobench.suite.datasets import CocoData
from tests.data.small_datasets import MAKERS, coco_at, tt100k_at, visdrone_at, voc_at, yolo_at


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("depth", ["", "one", "one/two"])
def test_every_layout(tmp_path: Path, name: str, depth: str) -> None:
    made = MAKERS[name](tmp_path / depth)
    (tmp_path / ".hidden").mkdir()
    layout = recognise(tmp_path)
    assert layout.format == name
    assert list(layout.splits) == ["train", "val"]
    found = layout.spec()
    for split in ("train", "val"):
        # Of VOC's twenty classes those that are there.
        assert set(load(found, split).classes) <= set(load(made, split).classes)
        assert [i.name for i in load(found, split).images] == [
            i.name for i in load(made, split).images
        ]
    # Two splits need none held out.
    assert "holdout" not in layout.section(0.2)


@pytest.mark.parametrize(
    ("files", "images"),
    [
        (("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
         ("train2017", "val2017")),
        (("annotations/instances_train.json", "annotations/instances_val.json"),
         ("images/train", "images/val")),
        (("train/_annotations.coco.json", "valid/_annotations.coco.json"), ("train", "valid")),
        (("train.json", "test.json"), (".", ".")),
        (("annotations/train.json", "annotations/val.json"), ("JPEGImages", "JPEGImages")),
    ],
)  # fmt: skip
def test_the_usual_names_of_coco(
    tmp_path: Path, files: tuple[str, str], images: tuple[str, str]
) -> None:
    coco_at(tmp_path)
    for split, file, folder in zip(("train", "val"), files, images, strict=True):
        for path in (tmp_path / file, tmp_path / folder / "a"):
            path.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{split}.json").rename(tmp_path / file)
        picture = tmp_path / "images" / f"{split}.png"
        picture.rename(tmp_path / folder / picture.name)
    (tmp_path / "annotations").mkdir(exist_ok=True)
    (tmp_path / "annotations" / "captions_val2017.json").write_text('{"images": []}')
    spec = recognise(tmp_path).spec()
    assert isinstance(spec, CocoData)
    assert (spec.train, spec.val) == files
    assert (spec.train_images, spec.val_images) == images
    assert len(load(spec, "val").images) == 1


def test_images_of_one_name_are_those_of_the_split(tmp_path: Path) -> None:
    coco_at(tmp_path)
    for split in ("train", "val"):
        file = tmp_path / f"{split}.json"
        file.write_text(file.read_text().replace(f"{split}.png", "a.png"))
        (tmp_path / split).mkdir()
        Image.new("RGB", (8, 6)).save(tmp_path / split / "a.png")
    spec = recognise(tmp_path).spec()
    assert isinstance(spec, CocoData)
    assert (spec.train_images, spec.val_images) == ("train", "val")


def test_annotations_without_images_can_be_read(tmp_path: Path) -> None:
    coco_at(tmp_path)
    (tmp_path / "images" / "val.png").unlink()
    assert recognise(tmp_path).section()["val"] == "val.json"


def test_a_data_yaml_of_any_name(tmp_path: Path) -> None:
    yolo_at(tmp_path)
    (tmp_path / "data.yaml").rename(tmp_path / "my set.yml")
    (tmp_path / "hyp.yaml").write_text("lr: 0.1")
    for place in (tmp_path, tmp_path / "my set.yml"):
        layout = recognise(place)
        assert layout.root == tmp_path / "my set.yml"
        assert load(layout.spec(), "train").classes == ("car",)


def test_a_split_of_visdrone(tmp_path: Path) -> None:
    visdrone_at(tmp_path)
    layout = recognise(tmp_path / "val")
    assert (layout.root, layout.splits) == (tmp_path, {"val": "val"})


def test_the_classes_of_voc(tmp_path: Path) -> None:
    voc_at(tmp_path)
    annotation = tmp_path / "Annotations" / "val1.xml"
    annotation.write_text(annotation.read_text().replace("dog", "kiwi"))
    sets = tmp_path / "ImageSets" / "Main"
    for name in ("trainval", "test", "dog_train"):
        (sets / f"{name}.txt").write_text("train1")
    layout = recognise(tmp_path)
    assert layout.shared == {"classes": ["dog", "kiwi"]}
    assert layout.splits == {"train": "train", "val": "val"}
    assert layout.notes == ("test is not used", "trainval is not used")
    (sets / "train.txt").unlink()
    # What val holds is in trainval as well.
    assert recognise(tmp_path).splits == {"train": "trainval", "val": "test"}


def test_the_signs_of_tt100k(tmp_path: Path) -> None:
    tt100k_at(tmp_path)
    assert recognise(tmp_path).shared == {"classes": "all"}
    file = tmp_path / "annotations.json"
    file.rename(tmp_path / "annotations_all.json")
    layout = recognise(tmp_path)
    assert layout.shared == {"annotations": "annotations_all.json", "classes": "all"}
    assert layout.splits == {"train": "train", "val": "test"}


def test_of_a_single_split_a_part_is_held_out(tmp_path: Path) -> None:
    coco_at(tmp_path)
    (tmp_path / "train.json").unlink()
    layout = recognise(tmp_path)
    assert layout.section(0.2) == {
        "format": "coco", "root": str(tmp_path), "train": "val.json", "holdout": 0.2,
    }  # fmt: skip
    assert layout.section() == {
        "format": "coco", "root": str(tmp_path), "train": "val.json", "val": "val.json",
    }  # fmt: skip


def empty(folder: Path) -> None:
    del folder


def images_only(folder: Path) -> None:
    Image.new("RGB", (8, 6)).save(folder / "a.jpg")


def labels_only(folder: Path) -> None:
    yolo_at(folder)
    (folder / "data.yaml").unlink()


def broken_yaml(folder: Path) -> None:
    (folder / "data.yaml").write_text("names: [car\ntrain: a")


def broken_json(folder: Path) -> None:
    (folder / "train.json").write_text("{")


def two_layouts(folder: Path) -> None:
    coco_at(folder)
    yolo_at(folder)


def two_folders(folder: Path) -> None:
    for name in ("VOC2007", "VOC2012"):
        voc_at(folder / name)


def two_trains(folder: Path) -> None:
    coco_at(folder)
    (folder / "train_2.json").write_text((folder / "train.json").read_text())


def nameless(folder: Path) -> None:
    coco_at(folder)
    for old, new in (("train", "a"), ("val", "b")):
        (folder / f"{old}.json").rename(folder / f"{new}.json")


def without_sets(folder: Path) -> None:
    voc_at(folder)
    for file in (folder / "ImageSets" / "Main").glob("*"):
        file.unlink()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (empty, "holds no files at all"),
        (images_only, "holds 1 images and 0 other files, and none of these layouts; add annotat"),
        (labels_only, "labels of YOLO need a data.yaml with train, val and names beside them"),
        (broken_yaml, r"data.yaml: line 2, column 6"),
        (broken_json, "train.json, line 1: is not valid JSON"),
        (two_layouts, r"holds several data sets: COCO JSON \(.*give --format coco or yolo, or"),
        (two_folders, r"PASCAL VOC \(.*/VOC2007\), PASCAL VOC .* give the folder of one of them"),
        (two_trains, "train.json, train_2.json could all be train; keep one there"),
        (nameless, "which of a.json, b.json are to train on and which to score"),
        (without_sets, "Main: has no lists of images; write train.txt and val.txt there"),
    ],
)  # fmt: skip
def test_what_is_not_recognised_is_told(tmp_path: Path, make: object, words: str) -> None:
    assert callable(make)
    make(tmp_path)
    with pytest.raises(DataError, match=words):
        recognise(tmp_path)


def test_the_format_that_is_meant(tmp_path: Path) -> None:
    two_layouts(tmp_path)
    assert recognise(tmp_path, "coco").format == "coco"
    assert recognise(tmp_path, "yolo").format == "yolo"
    with pytest.raises(DataError, match="none of these layouts"):
        recognise(tmp_path, "visdrone")
    with pytest.raises(RequestError, match="--format: unknown 'yol'; did you mean 'yolo'"):
        recognise(tmp_path, "yol")
    with pytest.raises(DataError, match="no such folder"):
        recognise(tmp_path / "none")


def test_a_broken_file_beside_a_layout_does_not_matter(tmp_path: Path) -> None:
    yolo_at(tmp_path)
    broken_json(tmp_path)
    (tmp_path / "other.yaml").write_text("[")
    assert recognise(tmp_path).format == "yolo"


def test_a_yaml_that_names_no_classes(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(yaml.safe_dump({"train": "images"}))
    with pytest.raises(DataError, match="has no names of classes with train or val"):
        recognise(file)
    file.write_text("[")
    with pytest.raises(DataError, match=r"data\.yaml: line 1"):
        recognise(file)


def test_many_json_files_are_of_single_images(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number}.json").write_text(json.dumps({"shapes": []}))
    with pytest.raises(DataError, match="holds 0 images and 60 other files"):
        recognise(tmp_path)
