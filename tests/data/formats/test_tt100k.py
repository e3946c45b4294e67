"""TT100K: splits by list or by folder, 45 classes, other signs ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sobench.data.annotations import PARTLY_OUTSIDE
from sobench.data.dataset import EVERY_CLASS
from sobench.data.fingerprint import fingerprint
from sobench.data.formats import tt100k
from sobench.data.load import load
from sobench.errors import DataError, SuiteError
from sobench.suite.datasets import Tt100kData
from sobench.suite.reader import parse
from tests.data.formats.tt100k_files import SPEC, read, refused, sign, write
from tests.records import invoke, isolate
from tests.tiny_suite import CONTENT


def test_the_classes_are_the_45_of_the_field() -> None:
    assert len(set(tt100k.CLASSES)) == 45
    assert list(tt100k.CLASSES) == sorted(tt100k.CLASSES)


def test_signs_and_other_signs(tmp_path: Path) -> None:
    objects = [sign(), sign("ps", (1, 2, 5, 9)), sign("wo", (0, 0, 100, 50))]
    write(tmp_path, {"test/7.jpg": objects})
    dataset = read(tmp_path)
    image = dataset.images[0]

    assert (image.id, image.name, image.width, image.height) == (7, "test/7.jpg", 100, 50)
    assert image.boxes.tolist() == [[10.5, 20, 30, 40], [0, 0, 100, 50]]
    assert image.areas.tolist() == [390, 5000]
    assert [dataset.classes[label] for label in image.labels] == ["pl30", "wo"]
    assert image.ignore.tolist() == [[1, 2, 5, 9]]
    assert image.ignore_labels.tolist() == [EVERY_CLASS]
    assert (dataset.classes, dataset.category_ids) == (tt100k.CLASSES, tuple(range(1, 46)))
    assert (dataset.title, dataset.skipped) == ("TT100K test", ())
    assert dataset.notes == {tt100k.OTHERS: 1}


def test_all_types_in_the_order_of_the_file(tmp_path: Path) -> None:
    types = ["w8", "pl30", "ps"]
    write(tmp_path, {"test/1.jpg": [sign("ps"), sign("w8"), sign("pl30")]}, types)
    dataset = read(tmp_path, SPEC.model_copy(update={"classes": "all"}))

    assert (dataset.classes, dataset.category_ids) == (tuple(types), (1, 2, 3))
    assert dataset.images[0].labels.tolist() == [2, 0, 1]
    assert dataset.images[0].ignore.shape == (0, 4)
    assert dataset.notes == {}


def test_classes_are_replaced_and_checked(tmp_path: Path) -> None:
    write(tmp_path, {"test/1.jpg": [sign("ps"), sign("pl30")]})
    dataset = read(tmp_path, Tt100kData(format="tt100k", root=".", classes=("w8", "ps")))
    assert (dataset.classes, dataset.images[0].labels.tolist()) == (("w8", "ps"), [1])
    assert dataset.notes == {tt100k.OTHERS: 1}

    message = refused(tmp_path, SPEC.model_copy(update={"classes": ("ps", "pl300")}))
    assert "annotations.json: has no type 'pl300', correct dataset.classes or write all;" in message
    assert "did you mean 'pl30'?" in message
    write(tmp_path / "2", {"test/1.jpg": []}, ["ps"])
    assert "has no type 'i2'" in refused(tmp_path / "2")


@pytest.mark.parametrize("classes", ["every", 5, [], ["ps", "ps"], ["ps", 5], {"ps": 1}])
def test_classes_are_all_or_different_names(classes: object) -> None:
    dataset = {"format": "tt100k", "root": ".", "classes": classes}
    with pytest.raises(SuiteError, match=r"dataset\.classes: .* is wrong; write all, or a list"):
        parse(CONTENT | {"dataset": dataset}, Path("a.yaml"))
    good = parse(CONTENT | {"dataset": dataset | {"classes": ["ps", "w8"]}}, Path("a.yaml"))
    assert isinstance(good.dataset, Tt100kData)
    assert good.dataset.classes == ("ps", "w8")


def test_a_list_of_ids_makes_a_split(tmp_path: Path) -> None:
    images: dict[str, list[Any]] = {"train/3.jpg": [sign()], "train/1.jpg": [], "test/2.jpg": []}
    write(tmp_path, images, ids={"train": ["3", "1"], "mine": ["2", "", " 3 "]})
    spec = Tt100kData(format="tt100k", root=".", val="mine")
    train, mine = read(tmp_path, spec, "train"), read(tmp_path, spec)

    assert [image.id for image in train.images] == [3, 1]
    assert [len(image.boxes) for image in train.images] == [1, 0]  # a background stays
    assert train.images[1].boxes.shape == (0, 4)
    assert [image.name for image in mine.images] == ["test/2.jpg", "train/3.jpg"]
    assert tt100k.sources(tmp_path, spec, "val") == (
        [tmp_path / "annotations.json", tmp_path / "mine" / "ids.txt"],
        [tmp_path / "test", tmp_path / "train"],
    )


def test_without_a_list_the_folder_makes_a_split(tmp_path: Path) -> None:
    images: dict[str, list[Any]] = {"test/9.jpg": [], "train/1.jpg": [], "testing/2.jpg": []}
    write(tmp_path, images | {"test/4.jpg": []})
    assert [image.id for image in read(tmp_path).images] == [9, 4]
    assert tt100k.sources(tmp_path, SPEC, "val") == (
        [tmp_path / "annotations.json"],
        [tmp_path / "test"],
    )
    message = refused(tmp_path, SPEC.model_copy(update={"val": "val"}))
    assert f"no image is in val/, and there is no {tmp_path / 'val' / 'ids.txt'}" in message
    assert "correct dataset.val; known: test, testing, train" in message


def test_the_annotation_file_of_another_release(tmp_path: Path) -> None:
    write(tmp_path, {"test/1.jpg": [sign()]}, name="annotations_all.json")
    spec = Tt100kData(format="tt100k", root=".", annotations="annotations_all.json")
    assert len(read(tmp_path, spec).images[0].boxes) == 1
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / 'annotations.json'}: no such annotation file; correct")
    assert "dataset.annotations, which is annotations_all.json in the release of 2021" in message


def test_sizes_come_from_headers_after_the_orientation_tag(tmp_path: Path) -> None:
    write(tmp_path, {"test/1.jpg": [sign("ps", (0, 60, 40, 90))]})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 50)).save(tmp_path / "test" / "1.jpg", exif=exif)
    # Cut off where the pixels begin, which only a decoder notices.
    content = (tmp_path / "test" / "1.jpg").read_bytes()
    (tmp_path / "test" / "1.jpg").write_bytes(content[: content.index(b"\xff\xda") + 16])
    dataset = read(tmp_path)

    assert (dataset.images[0].width, dataset.images[0].height) == (50, 100)
    assert dataset.skipped == ()
    with pytest.raises(DataError, match=r"1\.jpg: is damaged"):
        dataset.read_image(0)


def test_boxes_without_area_or_outside_are_left_out(tmp_path: Path) -> None:
    boxes = [(5, 5, 5, 9), (9, 9, 5, 12), (100, 5, 120, 9), (90, 5, 110, 9), (5, 5, 6, 6)]
    write(tmp_path, {"test/4.jpg": [sign(box=box) for box in boxes]})
    dataset = read(tmp_path)

    skipped_rows = [skipped.row for skipped in dataset.skipped]
    assert skipped_rows == [f"image 4, object {number}" for number in (1, 2, 3)]
    assert dataset.skipped[0].file == str(tmp_path / "annotations.json")
    assert "zero or negative size: 5,5 to 5,9" in dataset.skipped[0].reason
    assert "outside the image of 100x50" in dataset.skipped[2].reason
    assert dataset.images[0].boxes.tolist() == [[90, 5, 110, 9], [5, 5, 6, 6]]
    assert dataset.notes == {PARTLY_OUTSIDE: 1}


def test_a_fingerprint_sees_classes_lists_and_annotations(tmp_path: Path) -> None:
    images: dict[str, list[Any]] = {"train/1.jpg": [sign()], "test/2.jpg": [], "test/3.jpg": []}
    write(tmp_path, images, ids={"train": ["1"], "test": ["2", "3"]})
    spec = Tt100kData(format="tt100k", root=str(tmp_path))
    prints = {fingerprint(spec)}
    for classes in ("all", ("ps",), ("w8",)):
        prints.add(fingerprint(spec.model_copy(update={"classes": classes})))
    (tmp_path / "test" / "ids.txt").write_text("3\n")
    prints.add(fingerprint(spec))
    (tmp_path / "test" / "ids.txt").unlink()
    prints.add(fingerprint(spec))
    with (tmp_path / "test" / "2.jpg").open("ab") as image:
        image.write(b"\n")
    prints.add(fingerprint(spec))
    assert len(prints) == 7
    assert fingerprint(spec) in prints


def test_the_suite_reads_its_layout_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    isolate(tmp_path, monkeypatch)
    monkeypatch.setenv("SOBENCH_DATA", str(tmp_path))
    suite, root = Path(__file__).parents[3] / "suites" / "tt100k.yaml", tmp_path / "tt100k"
    for missing in (
        "no folder ${SOBENCH_DATA}/tt100k",
        f"{root / 'annotations.json'}: no such annotation file",
    ):
        code, out, err = invoke(capsys, "plan", suite)
        assert code == 2
        assert "no data" in out
        assert missing in err
        root.mkdir(exist_ok=True)
    images = {"train/1.jpg": [sign()], "test/2.jpg": [sign("w32")]}
    write(root, images, ids={"train": ["1"], "test": ["2"]})
    code, out, _ = invoke(capsys, "plan", suite)
    assert code == 0
    assert "no data" not in out
    code, out, _ = invoke(capsys, "data", suite, "--no-cache")
    assert code == 0
    assert [row.split() for row in out.splitlines() if row.startswith(("pl30", "w32"))] == [
        ["pl30", "1", "(100", "%)", "0", "(0", "%)"],
        ["w32", "0", "(0", "%)", "1", "(100", "%)"],
    ]


def test_an_image_of_the_datasets_size(tmp_path: Path) -> None:
    """2048 x 2048 px, signs in the fractions that the annotations are written in."""
    categories = ["pne", "pb", "il60", "pl80"]
    corners = (489.6, 993.6, 507.20000000000005, 1010.4)
    types = [*tt100k.CLASSES, "pb"]
    write(tmp_path, {"test/2.jpg": [sign(name, corners) for name in categories]}, types)
    Image.new("RGB", (2048, 2048)).save(tmp_path / "test" / "2.jpg")
    spec = Tt100kData(format="tt100k", root=str(tmp_path), train="test")
    dataset = load(spec, "train")
    image = dataset.images[0]

    assert (len(dataset.images), image.id, image.name) == (1, 2, "test/2.jpg")
    assert (image.width, image.height) == (2048, 2048)
    assert [dataset.classes[label] for label in image.labels] == ["pne", "il60", "pl80"]
    assert image.boxes[0].tolist() == list(corners)
    assert image.areas[0] == pytest.approx(17.6 * 16.8)
    assert len(image.ignore) == 1
    assert (dataset.skipped, dataset.notes) == ((), {tt100k.OTHERS: 1})
    assert dataset.read_image(0).shape == (2048, 2048, 3)

    everything = load(spec.model_copy(update={"classes": "all"}), "val")
    labels = everything.images[0].labels
    assert [everything.classes[label] for label in labels] == categories
    assert len(everything.classes) == len(types)
