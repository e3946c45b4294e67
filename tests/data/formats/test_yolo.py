"""YOLO txt: fractions become pixels, label files are found, damage is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from sobench.data.annotations import PARTLY_OUTSIDE
from sobench.data.dataset import Dataset
from sobench.data.formats import yolo
from sobench.errors import DataError
from sobench.suite.datasets import YoloData

SPEC = YoloData(format="yolo", root=".")


def image(path: Path, label: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (200, 100)).save(path)
    if label is not None:
        file = yolo.label_file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(label)


def make_config(root: Path, **changes: Any) -> None:
    content = {"train": "images/train", "val": "images/val", "names": ["car", "ship"]} | changes
    (root / "data.yaml").write_text(yaml.safe_dump(content))


def read(root: Path, label: str | None = None, **changes: Any) -> Dataset:
    """Read ``val``; with a label, of the one image ``a.png``."""
    if label is not None:
        image(root / "images" / "val" / "a.png", label)
    make_config(root, **changes)
    return yolo.read(root, SPEC, "val")


def refused(root: Path, label: str | None = None, **changes: Any) -> str:
    with pytest.raises(DataError) as error:
        read(root, label, **changes)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_fractions_become_pixels(tmp_path: Path) -> None:
    dataset = read(tmp_path, "1 0.5 0.5 0.1 0.2\n\n0 0.05 0.9 0.1 0.2\n")
    (sample,) = dataset.images

    assert (sample.id, sample.name, sample.width, sample.height) == (1, "a.png", 200, 100)
    np.testing.assert_allclose(sample.boxes, [[90, 40, 110, 60], [0, 80, 20, 100]])
    np.testing.assert_allclose(sample.areas, [400, 400])
    assert sample.labels.tolist() == [1, 0]
    assert (dataset.classes, dataset.category_ids) == (("car", "ship"), (0, 1))
    assert (dataset.skipped, dataset.notes) == ((), {})
    assert dataset.read_image(0).shape == (100, 200, 3)


def test_a_polygon_becomes_its_bounding_box(tmp_path: Path) -> None:
    dataset = read(tmp_path, "0 0.1 0.5 0.4 0.2 0.3 0.8\n")
    np.testing.assert_allclose(dataset.images[0].boxes, [[20, 20, 80, 80]])
    assert dataset.notes == {yolo.POLYGONS: 1}


def test_images_without_label_file_or_rows_have_no_objects(tmp_path: Path) -> None:
    image(tmp_path / "images" / "val" / "b.png")
    image(tmp_path / "images" / "val" / "deep" / "c.png", "0 0.5 0.5 0.1 0.1")
    dataset = read(tmp_path, "")
    assert [sample.name for sample in dataset.images] == ["a.png", "b.png", "c.png"]
    assert [len(sample.boxes) for sample in dataset.images] == [0, 0, 1]
    assert dataset.notes == {yolo.NO_LABEL_FILE: 1}


def test_boxes_without_area_or_outside_are_left_out(tmp_path: Path) -> None:
    rows = ["0 0.5 0.5 0 0.1", "0 1.2 0.5 0.1 0.1", "0 0.99 0.5 0.1 0.1", "0 0.5 0.5 -0.1 0.1"]
    dataset = read(tmp_path, "\n".join(rows))
    assert [skipped.row for skipped in dataset.skipped] == ["row 1", "row 2", "row 4"]
    assert dataset.skipped[0].file == str(tmp_path / "labels" / "val" / "a.txt")
    assert "zero" in dataset.skipped[0].reason
    assert "outside the image of 200x100" in dataset.skipped[1].reason
    np.testing.assert_allclose(dataset.images[0].boxes, [[188, 45, 208, 55]])
    assert dataset.notes == {PARTLY_OUTSIDE: 1}


@pytest.mark.parametrize(
    ("row", "problem", "way_out"),
    [
        ("0 0.5 0.5 0.1", "4 columns", "correct or remove the row"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 columns", "correct or remove the row"),
        ("0 0.5 0.5 0.1 0.1 0.9 0.9 0.9", "8 columns", "correct or remove the row"),
        ("2 0.5 0.5 0.1 0.1", "class 2 is not among the 2 classes of data.yaml (0..1)", "correct"),
        ("-1 0.5 0.5 0.1 0.1", "class -1 is not among", "correct the row or add the class"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is not among", "correct the row or add the class"),
        ("car 0.5 0.5 0.1 0.1", "class is 'car', not a finite number", "correct or remove"),
        ("0 nan 0.5 0.1 0.1", "cx is 'nan', not a finite number", "correct or remove"),
        ("0 0.5 0.5 0.1 inf", "h is 'inf', not a finite number", "correct or remove"),
        ("0 0.1 0.1 0.2 0.2 x 0.3", "column 6 is 'x', not a finite", "correct or remove"),
        (
            "0 100 50 20 20",
            "100 is not a fraction of the image",
            "divide pixels by width and height",
        ),
        ("0 0.5 -0.6 0.1 0.1", "-0.6 is not a fraction of the image", "or remove the row"),
    ],
)
def test_malformed_rows_are_refused(tmp_path: Path, row: str, problem: str, way_out: str) -> None:
    message = refused(tmp_path, f"0 0.5 0.5 0.1 0.1\n{row}\n")
    assert f"{tmp_path / 'labels' / 'val' / 'a.txt'}, row 2: {problem}" in message
    assert way_out in message


def test_names_may_be_a_mapping_with_gaps(tmp_path: Path) -> None:
    dataset = read(tmp_path, "7 0.5 0.5 0.1 0.1", names={7: "ship", 3: "car"})
    assert (dataset.classes, dataset.category_ids) == (("car", "ship"), (3, 7))
    assert dataset.images[0].labels.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"names": None}, "names is null; write a list of class names"),
        ({"names": {"car": 0}}, "names has the key 'car'; write class ids"),
        ({"nc": 3}, "nc is 3, but names has 2 classes; correct one"),
        ({"val": None}, "has no key 'val', add it or correct dataset.val"),
        ({"val": [3]}, "val holds 3; write a folder"),
        ({"val": "images/none"}, "val is 'images/none', found at none of"),
    ],
)
def test_a_wrong_data_yaml_is_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    message = refused(tmp_path, "", **changes)
    assert f"{tmp_path / 'data.yaml'}: {problem}" in message


def test_a_missing_or_broken_data_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.yaml: no such file; correct dataset\.root"):
        yolo.read(tmp_path, SPEC, "val")
    (tmp_path / "data.yaml").write_text("names: [car\ntrain: x")
    with pytest.raises(DataError, match=r"line 2, column 6: .*; correct the YAML there"):
        yolo.read(tmp_path, SPEC, "val")
    make_config(tmp_path)
    spec = YoloData(format="yolo", root=".", val="vall")
    with pytest.raises(DataError, match=r"no key 'vall', .*did you mean 'val'\?"):
        yolo.read(tmp_path, spec, "val")


def test_splits_may_be_several_folders(tmp_path: Path) -> None:
    image(tmp_path / "x" / "images" / "a.png", "0 0.5 0.5 0.1 0.1")
    image(tmp_path / "w" / "images" / "b.png", "1 0.5 0.5 0.1 0.1")
    dataset = read(tmp_path, val=["x/images", "w/images"])
    assert [sample.name for sample in dataset.images] == ["a.png", "b.png"]
    labels, folders = yolo.sources(tmp_path, SPEC, "val")
    assert labels == [tmp_path / "w/labels/b.txt", tmp_path / "x/labels/a.txt"]
    assert folders == [tmp_path / "x/images", tmp_path / "w/images"]


def test_splits_may_be_a_list_of_files(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        image(tmp_path / "images" / f"{name}.png", "0 0.5 0.5 0.1 0.1")
    list_file = tmp_path / "val.txt"
    list_file.write_text(f"./images/c.png\n{tmp_path}/images/a.png\n")
    dataset = read(tmp_path, val="val.txt")
    assert [sample.name for sample in dataset.images] == ["c.png", "a.png"]
    assert [len(sample.boxes) for sample in dataset.images] == [1, 1]

    list_file.write_text("./images/c.png\n./images/d.png\n")
    assert f"{list_file}, row 2: no image file" in refused(tmp_path, val="val.txt")
    list_file.write_text("./images/c.png\n./images/c.png\n")
    assert "shares a label file with" in refused(tmp_path, val="val.txt")
    list_file.write_text("images/c\n")
    assert "row 1: 'images/c' is not an image file" in refused(tmp_path, val="val.txt")
    list_file.write_text("")
    assert f"{list_file}: has no images" in refused(tmp_path, val="val.txt")


def test_a_path_of_another_machine_does_not_hide_the_dataset(tmp_path: Path) -> None:
    root = tmp_path / "set"
    image(root / "valid" / "images" / "a.png", "0 0.5 0.5 0.1 0.1")
    for changes in (
        {"path": "/home/author/set", "val": "valid/images"},
        {"val": "../valid/images"},
    ):
        assert len(read(root, **changes).images) == 1


def test_a_label_file_without_its_image_is_refused(tmp_path: Path) -> None:
    labels = tmp_path / "labels" / "val"
    read(tmp_path, "")
    (labels / "classes.txt").write_text("car\nship\n")
    assert len(read(tmp_path).images) == 1
    (labels / "z.txt").write_text("0 0.5 0.5 0.1 0.1")
    message = refused(tmp_path)
    assert f"{labels / 'z.txt'}: has no image in" in message
    assert "add it or remove the label file" in message


def test_no_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "images" / "val").mkdir(parents=True)
    assert "has no images; correct" in refused(tmp_path)


def test_labels_lie_in_the_last_folder_called_images() -> None:
    assert yolo.label_file(Path("/images/x/images/val/a.b.jpg")) == Path(
        "/images/x/labels/val/a.b.txt"
    )
    assert yolo.label_file(Path("/x/pictures/a.jpg")) == Path("/x/pictures/a.txt")
