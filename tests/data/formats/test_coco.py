"""COCO JSON: ids, crowds and areas are kept, and contradictions are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sobench.data.annotations import PARTLY_OUTSIDE
from sobench.data.dataset import Dataset
from sobench.data.formats import coco
from sobench.errors import DataError
from sobench.suite.datasets import CocoData
from sobench.suite.plan import Run
from tests.real_data import COCO_100, COCO_100_SPEC
from tests.tiny_suite import tiny_suite

SPEC = CocoData(format="coco", root=".", train="train.json", val="val.json")


def content(**changes: Any) -> dict[str, Any]:
    """Two images, two categories out of order, three annotations; ``changes`` replace lists."""
    return {
        "images": [
            {"id": 70, "file_name": "b.jpg", "width": 100, "height": 50},
            {"id": 7, "file_name": "a.jpg", "width": 30, "height": 40},
        ],
        "categories": [{"id": 9, "name": "ship"}, {"id": 4, "name": "car"}],
        "annotations": [
            annotation(1, image_id=7, category_id=4, bbox=[1, 2, 10, 20], area=99.5),
            annotation(2, image_id=70, category_id=9, bbox=[0.5, 0.5, 3, 4]),
            annotation(3, image_id=70, category_id=4, bbox=[20, 10, 30, 30], iscrowd=1),
        ],
    } | changes


def annotation(number: int, **values: Any) -> dict[str, Any]:
    row = {"id": number, "image_id": 7, "category_id": 4, "bbox": [1, 2, 10, 20], "iscrowd": 0}
    return row | values


def read(root: Path, data: Any) -> Dataset:
    text = data if isinstance(data, str) else json.dumps(data)
    (root / "val.json").write_text(text)
    return coco.read(root, SPEC, "val")


def refused(root: Path, data: Any) -> str:
    with pytest.raises(DataError) as error:
        read(root, data)
    text = str(error.value)
    assert str(root / "val.json") in text
    assert "\n" not in text
    return text


def test_ids_labels_and_areas(tmp_path: Path) -> None:
    dataset = read(tmp_path, content())
    wide, upright = dataset.images

    assert dataset.classes == ("ship", "car")
    assert dataset.category_ids == (9, 4)
    assert [image.id for image in dataset.images] == [70, 7]
    assert (upright.name, upright.width, upright.height) == ("a.jpg", 30, 40)
    assert upright.boxes.tolist() == [[1, 2, 11, 22]]
    assert upright.labels.tolist() == [1]
    assert upright.areas.tolist() == [99.5]
    assert wide.boxes.tolist() == [[0.5, 0.5, 3.5, 4.5]]
    assert wide.areas.tolist() == [12]
    assert wide.boxes.dtype == np.float64
    assert wide.labels.dtype == np.int64
    assert dataset.skipped == ()
    assert dataset.notes == {coco.CROWDS: 1}


def test_a_crowd_is_an_ignore_region_of_its_class(tmp_path: Path) -> None:
    image = read(tmp_path, content()).images[0]
    assert image.ignore.tolist() == [[20, 10, 50, 40]]
    assert image.ignore_labels.tolist() == [1]
    assert len(image.boxes) == 1


def test_images_without_annotations_have_empty_arrays(tmp_path: Path) -> None:
    image = read(tmp_path, content(annotations=[])).images[0]
    assert image.boxes.shape == (0, 4)
    assert image.ignore.shape == (0, 4)
    assert image.labels.shape == image.areas.shape == image.ignore_labels.shape == (0,)


def test_boxes_without_area_or_outside_are_left_out_and_named(tmp_path: Path) -> None:
    annotations = [
        annotation(11, bbox=[5, 5, 0, 3]),
        annotation(12, bbox=[5, 5, 3, -1]),
        annotation(13, bbox=[30, 5, 3, 3]),
        annotation(14, bbox=[-8, 5, 8, 3]),
        annotation(15, bbox=[-2, 5, 8, 3]),
        annotation(16, bbox=[25, 35, 5.001, 5]),
    ]
    dataset = read(tmp_path, content(annotations=annotations))

    assert [skipped.row for skipped in dataset.skipped] == [
        "annotation 11", "annotation 12", "annotation 13", "annotation 14",
    ]  # fmt: skip
    assert "zero or negative size" in dataset.skipped[0].reason
    assert "zero or negative size" in dataset.skipped[1].reason
    assert "outside the image of 30x40" in dataset.skipped[2].reason
    assert dataset.skipped[0].file == str(tmp_path / "val.json")
    assert dataset.images[1].boxes.tolist() == [[-2, 5, 6, 8], [25, 35, 30.001, 40]]
    assert dataset.notes == {PARTLY_OUTSIDE: 1}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"12"', "null", "true", "[1]"])
def test_a_coordinate_that_is_not_a_finite_number_is_refused(tmp_path: Path, value: str) -> None:
    text = json.dumps(content()).replace("[1, 2, 10, 20]", f"[1, 2, {value}, 20]")
    assert value in text
    message = refused(tmp_path, text)
    assert "annotation 1: bbox" in message
    assert "correct or remove the annotation" in message


@pytest.mark.parametrize(
    ("values", "problem", "way_out"),
    [
        ({"image_id": 8}, "image_id 8 is not among the 2 images", "add the image or remove"),
        ({"image_id": "7"}, "image_id '7' is not among", "add the image or remove"),
        ({"category_id": 5}, "category_id 5 is not among the 2 categories", "correct it or remove"),
        ({"bbox": [1, 2, 3]}, "bbox [1, 2, 3] is not [x, y, width, height]", "correct or remove"),
        ({"area": -1}, "area is -1", "leave it out"),
        ({"area": "big"}, "area is 'big'", "leave it out"),
        ({"iscrowd": 2}, "iscrowd is 2", "write 0 or 1"),
    ],
)
def test_wrong_annotations_are_refused(
    tmp_path: Path, values: dict[str, Any], problem: str, way_out: str
) -> None:
    message = refused(tmp_path, content(annotations=[annotation(55, **values)]))
    assert f"annotation 55: {problem}" in message
    assert way_out in message


@pytest.mark.parametrize("key", ["image_id", "category_id", "bbox"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    row = annotation(5)
    del row[key]
    assert f"annotation 5: has no '{key}'" in refused(tmp_path, content(annotations=[row]))


def test_wrong_images_and_categories_are_refused(tmp_path: Path) -> None:
    image = {"id": 7, "file_name": "a.jpg", "width": 30, "height": 40}
    car = {"id": 4, "name": "car"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"images": [image, image]}, "images[1]: image id 7 is used twice; remove one"),
        ({"images": [image | {"id": "x"}]}, "images[0]: id 'x' is not a whole number of 64 bits"),
        ({"images": [image | {"width": 0}]}, "images[0]: width 0 and height 40 are not a size"),
        ({"images": [image | {"file_name": 3}]}, "images[0]: file_name 3 is not a text"),
        ({"images": ["a.jpg"]}, "images[0]: has no 'id'"),
        ({"images": []}, "lists no images; give a file with at least one"),
        ({"images": None}, "has no list 'images'; give a COCO annotation file"),
        ({"categories": [car, car]}, "categories[1]: id 4 is used twice"),
        ({"categories": [{"id": 4}]}, "categories[0]: has no 'name'"),
        ({"categories": []}, "lists no categories"),
    ]
    for changes, problem in cases:
        assert problem in refused(tmp_path, content(**changes))


def test_a_file_that_is_not_coco_json_is_refused(tmp_path: Path) -> None:
    assert "line 2: is not valid JSON" in refused(tmp_path, '{"images": [],\n oops')
    assert "has no list 'images'" in refused(tmp_path, "[]")
    with pytest.raises(DataError, match=r"train\.json: no such annotation file; correct"):
        coco.read(tmp_path, SPEC, "train")


SMALL = SPEC.model_copy(update={"max_area": 1024})


def small(root: Path, annotations: list[dict[str, Any]], spec: CocoData = SMALL) -> Dataset:
    """Images 1 to 4, of which the file lists the last one first."""
    images = [
        {"id": number, "file_name": f"{number}.jpg", "width": 200, "height": 100}
        for number in (4, 1, 2, 3)
    ]
    (root / "val.json").write_text(json.dumps(content(images=images, annotations=annotations)))
    return coco.read(root, spec, "val")


def test_a_subset_of_small_objects(tmp_path: Path) -> None:
    annotations = [
        annotation(1, image_id=1, bbox=[0, 0, 32, 31.9]),
        annotation(2, image_id=1, bbox=[5, 5, 32, 32], area=500),  # the box counts, not the mask
        annotation(3, image_id=1, bbox=[9, 9, 90, 80]),
        annotation(4, image_id=1, bbox=[0, 0, 150, 90], iscrowd=1),
        annotation(5, image_id=2, bbox=[5, 5, 90, 80]),
        annotation(6, image_id=3, bbox=[5, 5, 9, 8], iscrowd=1),
        annotation(7, image_id=4, bbox=[5, 5, 16, 63.9], category_id=9, area=2000),
    ]
    dataset = small(tmp_path, annotations)

    assert [image.id for image in dataset.images] == [4, 1]
    last, first = dataset.images
    assert first.boxes.tolist() == [[0, 0, 32, 31.9]]
    assert first.ignore.tolist() == [[0, 0, 150, 90]]
    assert (last.boxes.tolist(), last.labels.tolist()) == ([[5, 5, 21, 68.9]], [0])
    assert last.areas.tolist() == [2000]
    assert dataset.notes == {coco.CROWDS: 1, coco.LARGE: 2, coco.WITHOUT_SMALL: 2}
    with pytest.raises(DataError, match=r"images.4\.jpg"):
        dataset.read_image(0)
    with pytest.raises(DataError, match=r"images.1\.jpg"):
        dataset.read_image(1)


def test_without_max_area_all_images_stay(tmp_path: Path) -> None:
    annotations = [annotation(1, image_id=3, bbox=[5, 5, 90, 80])]
    dataset = small(tmp_path, annotations, SPEC)
    assert [image.id for image in dataset.images] == [4, 1, 2, 3]
    assert dataset.notes == {}


def test_a_subset_without_any_image_is_refused(tmp_path: Path) -> None:
    annotations = [
        annotation(1, image_id=1, bbox=[5, 5, 32, 32]),
        annotation(2, image_id=2, bbox=[5, 5, 0, 3]),  # no area, so no object
    ]
    with pytest.raises(
        DataError, match=r"val\.json: has no object whose box is smaller than .*1024"
    ):
        small(tmp_path, annotations)


def test_max_area_is_part_of_a_runs_identity() -> None:
    suite = tiny_suite()
    runs = [
        Run(suite.model_copy(update={"dataset": spec}), suite.methods[0], 0, "")
        for spec in (SPEC, SMALL, SPEC.model_copy(update={"max_area": 100.0}))
    ]
    assert len({run.settings_id for run in runs}) == 3


def test_small_objects_of_coco() -> None:
    whole = coco.read(COCO_100, COCO_100_SPEC, "val")
    subset = coco.read(COCO_100, COCO_100_SPEC.model_copy(update={"max_area": 1024}), "val")
    expected = {}
    for image in whole.images:
        sides = image.boxes[:, 2:] - image.boxes[:, :2]
        if len(small_boxes := image.boxes[sides.prod(axis=1) < 1024]):
            expected[image.id] = small_boxes.tolist()
    assert 0 < len(expected) < 100
    assert {image.id: image.boxes.tolist() for image in subset.images} == expected


def test_sources_follow_the_split(tmp_path: Path) -> None:
    spec = CocoData(format="coco", root=".", train="t.json", val="v.json", val_images="val")
    assert coco.sources(tmp_path, spec, "train") == ([tmp_path / "t.json"], [tmp_path / "images"])
    assert coco.sources(tmp_path, spec, "val") == ([tmp_path / "v.json"], [tmp_path / "val"])


def test_real_annotations_without_their_images() -> None:
    dataset = coco.read(COCO_100, COCO_100_SPEC, "val")
    assert (len(dataset.images), len(dataset.classes)) == (100, 80)
    assert sum(len(image.boxes) for image in dataset.images) == 830
    assert sum(len(image.ignore) for image in dataset.images) == 9  # crowds
    assert dataset.skipped == ()
    assert dataset.category_ids[-1] == 90
    dog = next(image for image in dataset.images if image.id == 74)
    assert dataset.classes[dog.labels[0]] == "dog"
    # The area of the outline, not of the box.
    assert dog.areas[0] == 18234.62355
    with pytest.raises(DataError, match="no such image file"):
        dataset.read_image(0)
