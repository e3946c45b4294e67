"""File names leave the data set only if the suite says so, and then the fingerprint covers them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from sobench.data.fingerprint import fingerprint
from sobench.data.load import load
from sobench.errors import DataError
from sobench.suite.datasets import CocoData, DataSpec
from tests.data.small_datasets import coco_at, tt100k_at, voc_at, yolo_at


def coco(root: Path, name: str) -> DataSpec:
    spec = coco_at(root)
    content = json.loads((root / "val.json").read_text())
    content["images"][0]["file_name"] = name
    (root / "val.json").write_text(json.dumps(content))
    return spec


def tt100k(root: Path, name: str) -> DataSpec:
    spec = tt100k_at(root)
    content = json.loads((root / "annotations.json").read_text())
    content["imgs"]["2"]["path"] = name
    (root / "annotations.json").write_text(json.dumps(content))
    return spec


def voc(root: Path, name: str) -> DataSpec:
    spec = voc_at(root)
    file = root / "Annotations" / "val1.xml"
    (root / "JPEGImages" / "val1.jpg").unlink()
    file.write_text(file.read_text().replace("<size>", f"<filename>{name}</filename><size>"))
    return spec


def yolo_list(root: Path, name: str) -> DataSpec:
    spec = yolo_at(root)
    config = yaml.safe_load((root / "data.yaml").read_text())
    (root / "data.yaml").write_text(yaml.safe_dump(config | {"val": "val.txt"}))
    (root / "val.txt").write_text(f"{name}\n")
    return spec


MAKERS: list[Callable[[Path, str], DataSpec]] = [coco, tt100k, voc, yolo_list]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("absolute", [True, False])
def test_a_file_outside_needs_permission_and_counts(
    tmp_path: Path, make: Callable[[Path, str], DataSpec], absolute: bool
) -> None:
    outside = tmp_path / "elsewhere" / "images" / "b.png"
    outside.parent.mkdir(parents=True)
    Image.new("RGB", (8, 6), "red").save(outside)
    up = "../../" if make in (coco, voc) else "../"
    spec = make(tmp_path / "set", str(outside) if absolute else f"{up}elsewhere/images/b.png")
    with pytest.raises(DataError, match=r"write dataset\.outside_root: true if you trust"):
        load(spec, "val")

    spec = spec.model_copy(update={"outside_root": True})
    assert load(spec, "val").read_image(0)[0, 0].tolist() == [255, 0, 0]
    before = fingerprint(spec)
    Image.new("RGB", (8, 6), "blue").save(outside)
    assert fingerprint(spec) != before


@pytest.mark.parametrize("make", [coco, voc])
def test_a_file_beside_the_image_folder_counts_as_outside(
    tmp_path: Path, make: Callable[[Path, str], DataSpec]
) -> None:
    spec = make(tmp_path, "../more/a.png")
    (tmp_path / "more").mkdir()
    Image.new("RGB", (8, 6), "red").save(tmp_path / "more" / "a.png")
    with pytest.raises(DataError, match=r"write dataset\.outside_root: true if you trust"):
        load(spec, "val")

    spec = spec.model_copy(update={"outside_root": True})
    assert load(spec, "val").read_image(0)[0, 0].tolist() == [255, 0, 0]
    before = fingerprint(spec)
    Image.new("RGB", (8, 6), "blue").save(tmp_path / "more" / "a.png")
    assert fingerprint(spec) != before


@pytest.mark.parametrize("name", ["a", "a.png.bak", ".a.png"])
def test_a_file_that_the_fingerprint_leaves_out_is_refused(tmp_path: Path, name: str) -> None:
    spec = coco(tmp_path, name)
    Image.new("RGB", (8, 6)).save(tmp_path / "images" / name, "PNG")
    with pytest.raises(DataError, match="is not called as an image is; give it a name that ends"):
        load(spec, "val")


def test_folders_of_yolo_outside_need_permission(tmp_path: Path) -> None:
    spec = yolo_at(tmp_path / "set")
    Image.new("RGB", (8, 6), "red").save(tmp_path / "set" / "images" / "val" / "a.png")
    (tmp_path / "set" / "images").rename(tmp_path / "images")
    (tmp_path / "set" / "labels").rename(tmp_path / "labels")
    for base in ({"path": ".."}, {"path": str(tmp_path)}):
        config = {"train": "images/train", "val": "images/val", "names": ["car"]} | base
        (tmp_path / "set" / "data.yaml").write_text(yaml.safe_dump(config))
        for read in (lambda: load(spec, "val"), lambda: fingerprint(spec)):
            with pytest.raises(DataError, match=r"data\.yaml: (train|val): .* leaves"):
                read()
        allowed = spec.model_copy(update={"outside_root": True})
        assert load(allowed, "val").read_image(0)[0, 0].tolist() == [255, 0, 0]


def test_the_image_folder_of_the_suite_may_be_anywhere(tmp_path: Path) -> None:
    coco_at(tmp_path / "set")
    (tmp_path / "set" / "images").rename(tmp_path / "pictures")
    for folder in ("../pictures", str(tmp_path / "pictures")):
        spec = CocoData(
            format="coco", root=str(tmp_path / "set"), train="train.json", val="val.json",
            train_images=folder, val_images=folder,
        )  # fmt: skip
        assert load(spec, "val").read_image(0).shape == (6, 8, 3)


def test_an_image_set_does_not_lead_out(tmp_path: Path) -> None:
    spec = voc_at(tmp_path / "set")
    (tmp_path / "set" / "ImageSets" / "Main" / "val.txt").write_text("../../secret\n")
    (tmp_path / "secret.xml").write_text("<annotation/>")
    for read in (lambda: load(spec, "val"), lambda: fingerprint(spec)):
        with pytest.raises(DataError, match=r"val\.txt, row 1: '../../secret' leaves"):
            read()


@pytest.mark.parametrize("make", MAKERS[:2])
def test_a_name_with_nul_is_one_line(tmp_path: Path, make: Callable[[Path, str], DataSpec]) -> None:
    spec = make(tmp_path, "a\0.png")
    with pytest.raises(DataError, match=r"no file can have the name 'a\\x00\.png'"):
        load(spec, "val")
