"""The training images that are held out to choose settings by."""

from __future__ import annotations

import hashlib
import pickle
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sobench.data import holdout
from sobench.data.check import checked_splits
from sobench.data.dataset import AnnotatedImage, Dataset, as_boxes, as_labels
from sobench.data.fingerprint import fingerprint
from sobench.data.holdout import load_part
from sobench.data.images import ImageFiles
from sobench.data.load import load
from sobench.data.subset import divided
from sobench.errors import DataError
from sobench.suite.datasets import SyntheticData, VisDroneData
from tests.data.small_datasets import MAKERS, coco_at

SCENES = SyntheticData(format="synthetic", train=10, val=3, size=(64, 64), objects=(3, 6))


def image(number: int, objects: int = 1) -> AnnotatedImage:
    boxes = as_boxes([(1.0, 1.0, 3.0, 3.0)] * objects)
    return AnnotatedImage(
        id=number, name=f"{number}.png", width=8, height=8, boxes=boxes,
        labels=as_labels([0] * objects), areas=np.full(objects, 4.0), ignore=as_boxes([]),
        ignore_labels=as_labels([]),
    )  # fmt: skip


def pixels(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((8, 8, 3), index, np.uint8)


def dataset(*images: AnnotatedImage) -> Dataset:
    return Dataset("made up", ("car",), (1,), images, pixels)


def names(part: Dataset) -> list[str]:
    return [image.name for image in part.images]


def test_the_first_images_by_a_digest_of_their_names_are_held_out() -> None:
    images = [image(number) for number in range(10)]
    digests = {hashlib.sha256(image.name.encode()).digest(): image.name for image in images}
    ranked = [digests[digest] for digest in sorted(digests)]
    kept, held_out = divided(dataset(*images), 0.3)
    assert set(names(held_out)) == set(ranked[:3])
    assert names(kept) == [i.name for i in images if i.name not in ranked[:3]]
    assert names(held_out) == [i.name for i in images if i.name in ranked[:3]]


def test_the_order_of_the_images_does_not_count() -> None:
    images = [image(number, objects=number % 3) for number in range(30)]
    shuffled = random.Random(0).sample(images, len(images))
    one, other = divided(dataset(*images), 0.25), divided(dataset(*shuffled), 0.25)
    for part, same in zip(one, other, strict=True):
        assert set(names(part)) == set(names(same))


@pytest.mark.parametrize(
    ("holdout", "numbers"), [(0.25, (5, 2)), (0.001, (1, 0)), (0.999, (19, 8))]
)
def test_images_with_objects_and_without_are_divided_alike(
    holdout: float, numbers: tuple[int, int]
) -> None:
    images = [image(number, objects=int(number < 20)) for number in range(28)]
    kept, held_out = divided(dataset(*images), holdout)
    empty = [not len(image.boxes) for image in held_out.images]
    assert (len(empty) - sum(empty), sum(empty)) == numbers
    assert any(len(image.boxes) for image in kept.images)
    assert len(kept.images) + len(held_out.images) == 28


@pytest.mark.parametrize("objects", [0, 1])
def test_a_dataset_with_one_image_of_objects_cannot_be_divided(objects: int) -> None:
    images = [image(number, objects=int(number < objects)) for number in range(4)]
    with pytest.raises(DataError, match=rf"made up: {objects} of 4 images have objects, and two"):
        divided(dataset(*images), 0.2)


def test_every_image_keeps_its_pixels() -> None:
    whole = load(SCENES, "train")
    by_name = {image.name: whole.read_image(i) for i, image in enumerate(whole.images)}
    for part in divided(whole, 0.4):
        copied = pickle.loads(pickle.dumps(part.read_image))
        for index, annotated in enumerate(part.images):
            assert np.array_equal(copied(index), by_name[annotated.name])


def test_image_files_stay_image_files() -> None:
    images = [image(number) for number in range(5)]
    whole = replace(dataset(*images), read_image=ImageFiles.of(images, Path("pictures")))
    for part in divided(whole, 0.4):
        assert isinstance(part.read_image, ImageFiles)
        assert part.read_image.paths == tuple(Path("pictures") / name for name in names(part))
        assert len(part.read_image.sizes) == len(part.images)


def test_without_a_share_the_splits_are_those_of_the_dataset() -> None:
    assert names(load_part(SCENES, "val", 2)) == names(load(SCENES, "val").first(2))


def test_the_limit_is_of_the_images_that_are_divided() -> None:
    kept, held_out = (load_part(SCENES, split, 5, 0.4) for split in ("train", "val"))
    assert {*names(kept), *names(held_out)} == set(names(load(SCENES, "train").first(5)))
    assert len(held_out.images) == 2


@pytest.mark.parametrize("name", MAKERS)
def test_the_fingerprint_of_the_train_split_reads_no_annotation_of_val(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    spec = MAKERS[name](tmp_path)
    read: list[Path] = []

    def noted(files: list[Path], *_: object, **__: object) -> dict[Path, str]:
        read.extend(files)
        return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    monkeypatch.setattr("sobench.data.fingerprint.file_digests", noted)
    before = fingerprint(spec, splits=("train",))
    assert before != fingerprint(spec)
    of_val = {"val", "val.json", "val.png", "val1.xml", "val.txt", "val1.jpg", "test"}
    read.clear()
    fingerprint(spec, splits=("train",))
    assert read
    parts = {part for file in read for part in file.relative_to(tmp_path).parts}
    # Where both splits have one folder of images, the whole of it is hashed, as always.
    assert parts & of_val <= {"coco": {"val.png"}, "voc": {"val1.jpg"}}.get(name, set())


def test_drawn_scenes_of_val_do_not_count_in_the_fingerprint_of_train() -> None:
    other = SCENES.model_copy(update={"val": 9})
    assert fingerprint(SCENES, splits=("train",)) == fingerprint(other, splits=("train",))
    other = SCENES.model_copy(update={"train": 9})
    assert fingerprint(SCENES, splits=("train",)) != fingerprint(other, splits=("train",))


def test_images_in_both_parts_are_told_of_by_their_name(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for folder in ("images", "annotations"):
            (tmp_path / split / folder).mkdir(parents=True)
    for name in "abcd":
        Image.new("RGB", (8, 6)).save(tmp_path / "train" / "images" / f"{name}.jpg")
        (tmp_path / "train" / "annotations" / f"{name}.txt").write_text("1,1,3,3,1,4,0,0\n")
    spec = VisDroneData(format="visdrone", root=str(tmp_path), train="train", val="val")
    splits, warnings = checked_splits(spec, None, 0.25)
    assert (len(splits["train"].images), len(splits["val"].images)) == (3, 1)
    assert warnings[0].startswith("held-out: 1 of its 1 images are in train as well")


def test_a_part_is_read_once_as_long_as_its_data_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    spec = coco_at(tmp_path / "set")
    data = fingerprint(spec)
    first = load_part(spec, "train", data=data)
    assert load_part(spec, "train", data=data) is first
    assert load_part(spec, "train") is not first
    assert load_part(spec, "train", 1, data=data) is not first
    file = tmp_path / "set" / "train.json"
    file.write_text(file.read_text() + " ")
    assert load_part(spec, "train", data=fingerprint(spec)) is not first


def test_what_was_read_of_other_data_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of files that were changed just before, and are changed back later."""
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    spec = coco_at(tmp_path / "set")
    first = load_part(spec, "train", data="0123456789ab")
    assert load_part(spec, "train", data="0123456789ab") is not first


def test_few_parts_stay_in_memory() -> None:
    data = fingerprint(SCENES)
    for limit in range(1, 9):
        load_part(SCENES, "train", limit, data=data)
    assert len(holdout._kept) <= holdout._MOST_KEPT
