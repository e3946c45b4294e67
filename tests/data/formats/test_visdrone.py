"""VisDrone-DET: ignored regions, others and rows with score 0 are distinguished."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sobench.data.annotations import PARTLY_OUTSIDE, Split
from sobench.data.dataset import EVERY_CLASS, Dataset
from sobench.data.formats import visdrone
from sobench.errors import DataError
from sobench.suite.datasets import VisDroneData

SPLITS: tuple[Split, ...] = ("train", "val")
SPEC = VisDroneData(format="visdrone", root=".", train="train", val="val")


def write(root: Path, annotations: dict[str, str], images: tuple[str, ...] | None = None) -> None:
    folder = root / "val"
    for name in ("annotations", "images"):
        (folder / name).mkdir(parents=True)
    for stem, text in annotations.items():
        (folder / "annotations" / f"{stem}.txt").write_text(text)
    for name in images if images is not None else [f"{stem}.jpg" for stem in annotations]:
        Image.new("RGB", (100, 50)).save(folder / "images" / name)


def read(root: Path) -> Dataset:
    return visdrone.read(root, SPEC, "val")


def refused(root: Path, text: str) -> str:
    write(root, {"a": text})
    with pytest.raises(DataError) as error:
        read(root)
    message = str(error.value)
    assert str(root / "val" / "annotations" / "a.txt") in message
    assert "\n" not in message
    return message


def test_every_kind_of_row(tmp_path: Path) -> None:
    rows = [
        "10,20,30,15,1,4,0,0",
        "0,0,40,10,0,0,0,0",
        "50,20,5,6,0,1,0,0",
        "1,1,9,9,1,11,0,0",
        "60,30,4,4,1,10,0,2,",
        "1,1,9,9,0,11,0,0,",
    ]
    write(tmp_path, {"a": "\n".join(rows) + "\n\n"})
    dataset = read(tmp_path)
    image = dataset.images[0]

    assert (image.id, image.name, image.width, image.height) == (1, "a.jpg", 100, 50)
    assert image.boxes.tolist() == [[10, 20, 40, 35], [60, 30, 64, 34]]
    assert [dataset.classes[label] for label in image.labels] == ["car", "motor"]
    assert image.areas.tolist() == [450, 16]
    assert image.ignore.tolist() == [[0, 0, 40, 10], [50, 20, 55, 26]]
    assert image.ignore_labels.tolist() == [EVERY_CLASS, 0]
    assert dataset.category_ids == tuple(range(1, 11))
    assert dataset.notes == {
        visdrone.IGNORED_REGIONS: 1,
        visdrone.NOT_CONSIDERED: 1,
        visdrone.OTHERS_DROPPED: 2,
    }


def test_images_follow_their_names_and_may_be_without_objects(tmp_path: Path) -> None:
    write(tmp_path, {"b": "", "a": "1,1,5,5,1,1,0,0", "B": ""})
    dataset = read(tmp_path)
    assert [image.name for image in dataset.images] == ["B.jpg", "a.jpg", "b.jpg"]
    assert [len(image.boxes) for image in dataset.images] == [0, 1, 0]
    assert dataset.read_image(1).shape == (50, 100, 3)


def test_boxes_without_area_or_outside_are_left_out(tmp_path: Path) -> None:
    rows = ["1,1,0,5,1,1,0,0", "100,1,5,5,1,1,0,0", "", "98,1,5,5,1,1,0,0", "9,9,0,0,0,0,0,0"]
    write(tmp_path, {"a": "\n".join(rows)})
    dataset = read(tmp_path)

    assert [skipped.row for skipped in dataset.skipped] == ["row 1", "row 2", "row 5"]
    assert dataset.skipped[0].file.endswith("a.txt")
    assert "zero" in dataset.skipped[0].reason
    assert "outside the image of 100x50" in dataset.skipped[1].reason
    assert dataset.images[0].boxes.tolist() == [[98, 1, 103, 6]]
    assert dataset.notes is not None
    assert dataset.notes[PARTLY_OUTSIDE] == 1


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,1,5,5,1,4,0", "7 columns"),
        ("1,1,5,5,1,4,0,0,9", "9 columns"),
        ("1 1 5 5 1 4 0 0", "1 columns"),
        ("1,nan,5,5,1,4,0,0", "top is 'nan', not a finite number"),
        ("1,1,inf,5,1,4,0,0", "width is 'inf', not a finite number"),
        ("1,1,5,x,1,4,0,0", "height is 'x', not a finite number"),
        ("1,1,5,5,1,12,0,0", "category is 12, not one of 0..11"),
        ("1,1,5,5,1,-1,0,0", "category is -1, not one of 0..11"),
        ("1,1,5,5,1,1.5,0,0", "category is 1.5, not one of 0..11"),
    ],
)
def test_malformed_rows_are_refused(tmp_path: Path, row: str, problem: str) -> None:
    message = refused(tmp_path, f"1,1,5,5,1,4,0,0\n{row}\n")
    assert f"row 2: {problem}" in message
    assert "correct or remove the row" in message


def test_detections_in_place_of_annotations_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "1,1,5,5,0.97,4,-1,-1\n")
    assert "row 1: score is 0.97" in message
    assert "give annotations, not detections" in message


def test_images_and_annotations_come_in_pairs(tmp_path: Path) -> None:
    write(tmp_path / "1", {"a": "", "b": ""}, images=("a.jpg",))
    with pytest.raises(DataError, match=r"b\.txt: has no image in .*add it or remove"):
        read(tmp_path / "1")
    write(tmp_path / "2", {"a": ""}, images=("a.jpg", "b.jpg"))
    with pytest.raises(DataError, match=r"b\.jpg: has no annotation .*b\.txt; add it"):
        read(tmp_path / "2")
    write(tmp_path / "3", {"a": ""}, images=("a.jpg", "a.png"))
    with pytest.raises(DataError, match=r"a\.png: is a second image 'a'"):
        read(tmp_path / "3")


def test_missing_folders_and_no_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such annotation folder; correct .*dataset\.val"):
        read(tmp_path)
    (tmp_path / "val" / "annotations").mkdir(parents=True)
    with pytest.raises(DataError, match="no such image folder"):
        read(tmp_path)
    (tmp_path / "val" / "images").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        read(tmp_path)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a": ""})
    (tmp_path / "val" / "images" / "a.jpg").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"a\.jpg: is not an image .*remove its row"):
        read(tmp_path)
