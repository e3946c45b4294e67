"""PASCAL VOC: 1-based corners, difficult objects, joined image sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sobench.data.annotations import PARTLY_OUTSIDE
from sobench.data.dataset import Dataset
from sobench.data.formats import voc
from sobench.errors import DataError
from sobench.suite.datasets import VocData
from tests.real_data import BCCD, BCCD_SPEC

SPEC = VocData(format="voc", root=".")


def voc_object(
    name: str = "dog", box: tuple[object, ...] = (11, 21, 30, 40), extra: str = ""
) -> str:
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(voc.CORNERS, box, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def write(
    root: Path,
    objects: dict[str, str],
    image_set: str = "val",
    size: tuple[int, int] | None = (100, 50),
    suffix: str = "jpg",
) -> None:
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    for stem, text in objects.items():
        xml = f"<annotation><filename>{stem}.{suffix}</filename>{shape}{text}</annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(xml)
        Image.new("RGB", (100, 50)).save(root / "JPEGImages" / f"{stem}.{suffix}")
    (root / "ImageSets" / "Main" / f"{image_set}.txt").write_text("\n".join(objects) + "\n")


def read(root: Path, spec: VocData = SPEC) -> Dataset:
    return voc.read(root, spec, "val")


def refused(root: Path, objects: str, spec: VocData = SPEC) -> str:
    write(root, {"a": objects})
    with pytest.raises(DataError) as error:
        read(root, spec)
    message = str(error.value)
    assert str(root / "Annotations" / "a.xml") in message
    assert "\n" not in message
    return message


def test_corners_are_1_based_and_inclusive(tmp_path: Path) -> None:
    write(tmp_path, {"b": voc_object() + voc_object("cat", (1, 1, 100, 50)), "a": ""})
    dataset = read(tmp_path)
    image = dataset.images[0]

    assert [(i.id, i.name) for i in dataset.images] == [(1, "b.jpg"), (2, "a.jpg")]
    assert image.boxes.tolist() == [[10, 20, 30, 40], [0, 0, 100, 50]]
    assert image.areas.tolist() == [400, 5000]
    assert [dataset.classes[label] for label in image.labels] == ["dog", "cat"]
    assert (dataset.classes, dataset.category_ids) == (voc.CLASSES, tuple(range(1, 21)))
    assert (dataset.skipped, dataset.notes) == ((), {})
    assert dataset.images[1].boxes.shape == (0, 4)


def test_difficult_objects_are_ignore_regions_of_their_class(tmp_path: Path) -> None:
    difficult = voc_object("cat", extra="<difficult>1</difficult>")
    easy = voc_object("dog", extra="<difficult>0</difficult>")
    write(tmp_path, {"a": difficult + easy})
    dataset = read(tmp_path)
    image = dataset.images[0]

    assert image.ignore.tolist() == [[10, 20, 30, 40]]
    assert image.ignore_labels.tolist() == [voc.CLASSES.index("cat")]
    assert image.labels.tolist() == [voc.CLASSES.index("dog")]
    assert dataset.notes == {voc.DIFFICULT: 1}


def test_difficult_objects_may_be_trained_on_but_are_never_scored(tmp_path: Path) -> None:
    write(tmp_path, {"a": voc_object("cat", extra="<difficult>1</difficult>") + voc_object("dog")})
    spec = SPEC.model_copy(update={"difficult": "train", "train": "val"})
    trained, scored = voc.read(tmp_path, spec, "train"), voc.read(tmp_path, spec, "val")
    assert [trained.classes[label] for label in trained.images[0].labels] == ["cat", "dog"]
    assert trained.images[0].ignore.shape == (0, 4)
    assert trained.notes == {voc.TRAINED: 1}
    assert [scored.classes[label] for label in scored.images[0].labels] == ["dog"]
    assert scored.notes == {voc.DIFFICULT: 1}
    by_default = voc.read(tmp_path, SPEC.model_copy(update={"train": "val"}), "train")
    assert len(by_default.images[0].boxes) == 1


def test_boxes_of_parts_are_not_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>"
    part += "<ymax>9</ymax></bndbox></part>"
    text = voc_object("person").replace("<bndbox>", part + "<bndbox>", 1)
    write(tmp_path, {"a": text})
    assert read(tmp_path).images[0].boxes.tolist() == [[10, 20, 30, 40]]


def test_coinciding_corners_and_boxes_outside_are_left_out(tmp_path: Path) -> None:
    boxes = [(5, 5, 5, 9), (5, 9, 8, 8), (101, 5, 120, 9), (90, 5, 110, 9), (5, 5, 6, 6)]
    write(tmp_path, {"a": "".join(voc_object(box=box) for box in boxes)})
    dataset = read(tmp_path)

    assert [skipped.row for skipped in dataset.skipped] == ["object 1", "object 2", "object 3"]
    assert "zero or negative size: 5,5 to 5,9" in dataset.skipped[0].reason
    assert "outside the image of 100x50" in dataset.skipped[2].reason
    assert dataset.skipped[0].file == str(tmp_path / "Annotations" / "a.xml")
    assert dataset.images[0].boxes.tolist() == [[89, 4, 110, 9], [4, 4, 6, 6]]
    assert dataset.notes == {PARTLY_OUTSIDE: 1}


def test_classes_are_replaced_and_unknown_ones_refused(tmp_path: Path) -> None:
    spec = VocData(format="voc", root=".", classes=("RBC", "WBC", "Platelets"))
    write(tmp_path / "1", {"a": voc_object("Platelets")})
    dataset = read(tmp_path / "1", spec)
    assert dataset.images[0].labels.tolist() == [2]
    assert dataset.category_ids == (1, 2, 3)

    message = refused(tmp_path / "2", voc_object("RBC") + voc_object("platelet"), spec)
    assert "object 2: unknown class 'platelet', correct it or set dataset.classes" in message
    assert "did you mean 'Platelets'?" in message
    assert "known: aeroplane," in refused(tmp_path / "3", voc_object("zzz"))


@pytest.mark.parametrize("value", ["nan", "inf", "ten", ""])
def test_a_corner_that_is_not_a_finite_number_is_refused(tmp_path: Path, value: str) -> None:
    message = refused(tmp_path, voc_object() + voc_object(box=(1, 1, value, 9)))
    assert f"object 2: xmax is {value!r}, not a finite number" in message
    assert "correct or remove" in message


def test_malformed_annotations_are_refused(tmp_path: Path) -> None:
    no_box = "<object><name>dog</name></object>"
    assert "object 1: xmin is ''" in refused(tmp_path / "1", no_box)
    maybe = voc_object(extra="<difficult>maybe</difficult>")
    assert "difficult is 'maybe'; write 0 or 1" in refused(tmp_path / "2", maybe)
    assert "is not valid XML" in refused(tmp_path / "3", "<object>")
    write(tmp_path / "4", {"a": ""})
    (tmp_path / "4" / "Annotations" / "a.xml").unlink()
    with pytest.raises(DataError, match=r"a\.xml: no such annotation file; add it or remove"):
        read(tmp_path / "4")


def test_image_sets_are_checked(tmp_path: Path) -> None:
    write(tmp_path, {"a": "", "b": ""})
    image_set = tmp_path / "ImageSets" / "Main" / "val.txt"
    image_set.write_text("a\nb\na\n")
    with pytest.raises(DataError, match=r"val\.txt, row 3: image 'a' is also in row 1; remove"):
        read(tmp_path)
    image_set.write_text("a -1\n")
    with pytest.raises(DataError, match=r"val\.txt, row 1: 'a -1' is not one image id; give"):
        read(tmp_path)
    image_set.write_text("\n")
    with pytest.raises(DataError, match=r"val\.txt: lists no images; give"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"train\.txt: no such annotation file; .*split"):
        voc.read(tmp_path, SPEC, "train")
    with pytest.raises(DataError, match="a part without an image set; write 'trainval'"):
        read(tmp_path, VocData(format="voc", root=".", val="val +"))


def test_joined_image_sets(tmp_path: Path) -> None:
    write(tmp_path / "VOC2007", {"000001": voc_object("dog")}, "trainval")
    write(tmp_path / "VOC2012", {"2007_000027": voc_object("cat"), "000001": ""}, "trainval")
    spec = VocData(format="voc", root=".", val="VOC2007/trainval + VOC2012/trainval")
    dataset = read(tmp_path, spec)

    assert [image.id for image in dataset.images] == [1, 2, 3]
    labels = [image.labels.tolist() for image in dataset.images]
    assert labels == [[voc.CLASSES.index("dog")], [voc.CLASSES.index("cat")], []]
    Image.new("RGB", (100, 50), (255, 0, 0)).save(tmp_path / "VOC2012/JPEGImages/000001.jpg")
    assert dataset.read_image(0).max() == 0
    assert dataset.read_image(2)[:, :, 0].min() > 250
    files, folders = voc.sources(tmp_path, spec, "val")
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "VOC2007/ImageSets/Main/trainval.txt",
        "VOC2007/Annotations/000001.xml",
        "VOC2012/ImageSets/Main/trainval.txt",
        "VOC2012/Annotations/000001.xml",
        "VOC2012/Annotations/2007_000027.xml",
    ]
    assert folders == [tmp_path / "VOC2007/JPEGImages", tmp_path / "VOC2012/JPEGImages"]


def test_the_size_comes_from_the_header_where_the_xml_has_none(tmp_path: Path) -> None:
    write(tmp_path / "1", {"a": voc_object()}, size=None, suffix="png")
    write(tmp_path / "2", {"a": voc_object()}, size=(0, 0), suffix="jpeg")
    for root in (tmp_path / "1", tmp_path / "2"):
        dataset = read(root)
        assert (dataset.images[0].width, dataset.images[0].height) == (100, 50)
        assert dataset.read_image(0).shape == (50, 100, 3)


def test_the_filename_names_the_image_where_the_stem_does_not(tmp_path: Path) -> None:
    write(tmp_path, {"a": voc_object()})
    file = tmp_path / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("a.jpg", "other.jpg"))
    (tmp_path / "JPEGImages" / "a.jpg").rename(tmp_path / "JPEGImages" / "other.jpg")
    assert read(tmp_path).images[0].name == "other.jpg"


def test_bccd_has_two_boxes_without_size() -> None:
    train, test = (voc.read(BCCD, BCCD_SPEC, split) for split in ("train", "val"))

    assert [image.name for image in train.images + test.images] == [
        f"BloodImage_{number}.jpg" for number in ("00338", "00343", "00065")
    ]
    assert [len(image.boxes) for image in train.images + test.images] == [13, 11, 8]
    assert [(Path(row.file).name, row.row) for row in train.skipped] == [
        ("BloodImage_00338.xml", "object 13"),
        ("BloodImage_00343.xml", "object 4"),
    ]
    assert all("zero or negative size" in row.reason for row in train.skipped)
    assert test.skipped == ()
    np.testing.assert_array_equal(test.images[0].boxes[0], [165, 179, 266, 287])
    assert [test.classes[label] for label in sorted(test.images[0].labels)] == [
        *["RBC"] * 5, *["WBC"] * 2, "Platelets"
    ]  # fmt: skip
    picture = test.read_image(0)
    assert picture.shape == (480, 640, 3)
    assert np.ptp(picture) > 100
