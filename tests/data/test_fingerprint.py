"""A fingerprint changes with the data and with nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sobench.data import hashes
from sobench.data.fingerprint import check_unchanged, fingerprint
from sobench.errors import DataError
from sobench.suite.datasets import SyntheticData
from tests.data.small_datasets import MAKERS, coco_at, visdrone_at, voc_at, yolo_at
from tests.real_data import BCCD_SPEC


@pytest.mark.parametrize("name", MAKERS)
def test_a_fingerprint_does_not_depend_on_the_place(tmp_path: Path, name: str) -> None:
    first, second = MAKERS[name](tmp_path / "a"), MAKERS[name](tmp_path / "b" / "c")
    assert fingerprint(first) == fingerprint(second)
    assert len(fingerprint(first)) == 12
    assert set(fingerprint(first)) <= set("0123456789abcdef")


def test_a_subset_has_another_fingerprint(tmp_path: Path) -> None:
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


def test_a_picture_of_equal_size_is_another(tmp_path: Path) -> None:
    spec = coco_at(tmp_path)
    picture = tmp_path / "images" / "val.bmp"
    prints = []
    for grey in (10, 11, 10):
        Image.new("RGB", (8, 6), (grey, grey, grey)).save(picture)
        prints.append(fingerprint(spec))
    assert prints[0] == prints[2] != prints[1]


def test_data_that_change_under_a_command_are_told(tmp_path: Path) -> None:
    spec = coco_at(tmp_path)
    before = fingerprint(spec)
    check_unchanged(spec, before)
    annotations = tmp_path / "val.json"
    annotations.write_text(annotations.read_text().replace("[1, 1, 3, 3]", "[1, 1, 4, 4]"))
    with pytest.raises(DataError, match=f"has changed .* {before}, now {fingerprint(spec)}"):
        check_unchanged(spec, before)


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


def test_missing_data_are_refused(tmp_path: Path) -> None:
    spec = coco_at(tmp_path)
    (tmp_path / "val.json").unlink()
    with pytest.raises(DataError, match=r"val\.json: cannot be read"):
        fingerprint(spec)
    coco_at(tmp_path)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(DataError, match="no such image folder"):
        fingerprint(spec)


def test_thousands_of_files_are_looked_at_a_few_times_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file is hashed once; how often one is looked at does not grow with their number."""
    spec = visdrone_at(tmp_path)
    for number in range(3000):
        (tmp_path / "train" / "annotations" / f"{number:07}.txt").write_bytes(b"1,1,3,3,1,4,0,0\n")
        os.link(tmp_path / "train/images/a.jpg", tmp_path / "train/images" / f"{number:07}.jpg")
    hashed: list[Path] = []
    looks: list[Path] = []
    hash_file, state_of = hashes._hash, hashes._state

    def hash_and_note(path: Path) -> hashes._FileDigest:
        hashed.append(path)
        return hash_file(path)

    def look_and_note(path: Path) -> os.stat_result:
        looks.append(path)
        return state_of(path)

    monkeypatch.setattr(hashes, "_hash", hash_and_note)
    monkeypatch.setattr(hashes, "_state", look_and_note)
    fingerprint(spec)
    assert len(hashed) == len({*hashed}) >= 3000
    assert len(looks) <= 3 * len({*looks})


def test_drawn_scenes_have_a_fingerprint() -> None:
    spec = SyntheticData(format="synthetic", train=2, val=1, size=(64, 64), objects=(1, 3))
    assert fingerprint(spec) == "2fad381ac267"
    assert fingerprint(spec) != fingerprint(spec.model_copy(update={"seed": 1}))


def test_real_data_keep_their_fingerprint() -> None:
    """Runs are found again by it, so a change makes every recorded result out of date."""
    assert fingerprint(BCCD_SPEC) == "2d7f5f66282c"
