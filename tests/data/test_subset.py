"""The images that stand for a split."""

from __future__ import annotations

import hashlib
import pickle
import random
from collections.abc import Sequence

import numpy as np
import pytest

from sobench.data.dataset import AnnotatedImage, as_boxes, as_labels
from sobench.data.holdout import load_part
from sobench.data.load import load
from sobench.data.subset import limited, part_name, ranked, representative
from sobench.suite.datasets import SyntheticData
from sobench.suite.limit import Representative

SCENES = SyntheticData(format="synthetic", train=10, val=4, size=(64, 64), objects=(3, 6))


def image(number: int, labels: Sequence[int]) -> AnnotatedImage:
    return AnnotatedImage(
        id=number, name=f"{number}.png", width=8, height=8,
        boxes=as_boxes([(1.0, 1.0, 3.0, 3.0)] * len(labels)), labels=as_labels([*labels]),
        areas=np.full(len(labels), 4.0), ignore=as_boxes([]), ignore_labels=as_labels([]),
    )  # fmt: skip


def classes_of(images: Sequence[AnnotatedImage], chosen: Sequence[int]) -> set[int]:
    return {int(label) for index in chosen for label in images[index].labels}


def share(images: Sequence[AnnotatedImage], chosen: Sequence[int], label: int) -> float:
    return sum(label in images[index].labels for index in chosen) / len(chosen)


def many() -> list[AnnotatedImage]:
    """400 images: 320 have class 0, 200 of these class 1, 40 of these class 2, one class 3."""
    images = []
    for number in range(400):
        labels = [0, 0] if number >= 80 else []
        labels += [1] if number >= 200 else []
        labels += [2] if number >= 360 else []
        labels += [3] if number == 100 else []
        images.append(image(number, labels))
    return images


@pytest.mark.parametrize("number", [20, 40, 100, 200])
def test_every_class_is_there_and_shares_are_about_those_of_the_whole(number: int) -> None:
    images = many()
    chosen = representative(images, 4, number)
    assert len(chosen) == len(set(chosen)) == number
    assert chosen == sorted(chosen)
    assert 100 in chosen
    for label, whole in enumerate([0.8, 0.5, 0.1]):
        assert share(images, chosen, label) == pytest.approx(whole, abs=1.5 / number)
    empty = sum(not len(images[index].labels) for index in chosen) / number
    assert empty == pytest.approx(0.2, abs=1.5 / number)


def test_as_many_classes_as_fit_the_rarest_first() -> None:
    images = [image(i, [i % 3]) for i in range(9)] + [image(9, [3]), image(10, [4, 0])]
    assert classes_of(images, representative(images, 5, 2)) == {3, 4, 0}
    assert classes_of(images, representative(images, 5, 4)) == {0, 1, 2, 3, 4}


def test_an_image_of_several_missing_classes_goes_before_others_of_the_rarest() -> None:
    images = [image(0, [0]), image(1, [0]), image(2, [0, 1, 2]), image(3, [1]), image(4, [1])]
    images += [image(number, [2]) for number in range(5, 9)]
    assert representative(images, 3, 1) == [2]


def test_of_equals_the_first_by_a_digest_of_their_names() -> None:
    images = [image(number, [0]) for number in range(10)]
    by_digest = sorted(range(10), key=lambda i: hashlib.sha256(f"{i}.png".encode()).digest())
    assert representative(images, 1, 4) == sorted(by_digest[:4])
    assert ranked(images, range(10)) == by_digest


def test_neither_order_nor_ids_nor_classes_that_nobody_has_count() -> None:
    images = many()
    names = {images[index].name for index in representative(images, 4, 30)}
    random.Random(0).shuffle(images)
    assert {images[index].name for index in representative(images, 9, 30)} == names


def test_images_without_objects_are_taken_only_by_their_share() -> None:
    images = [image(number, [0] if number else []) for number in range(10)]
    assert 0 not in representative(images, 1, 4)
    assert len(representative([image(0, []), image(1, [])], 1, 1)) == 1


def test_the_part_has_the_pixels_of_its_images() -> None:
    whole = load(SCENES, "train")
    part = limited(whole, Representative(4))
    assert part.title == f"{whole.title}, 4 representative images"
    names = [image.name for image in whole.images]
    for index, one in enumerate(part.images):
        assert np.array_equal(part.read_image(index), whole.read_image(names.index(one.name)))
    again = pickle.loads(pickle.dumps(part))
    assert np.array_equal(again.read_image(0), part.read_image(0))


def test_a_split_that_is_smaller_is_used_whole() -> None:
    whole = load(SCENES, "val")
    assert len(limited(whole, Representative(4)).images) == 4
    assert limited(whole, Representative(9)) is whole
    assert limited(whole, None) is whole
    assert [image.name for image in limited(whole, 2).images] == [
        image.name for image in whole.images[:2]
    ]


def test_each_split_has_its_own_and_what_is_held_out_is_of_them() -> None:
    train, val = (load_part(SCENES, split, Representative(3)) for split in ("train", "val"))
    assert len(train.images) == len(val.images) == 3
    kept, held_out = (load_part(SCENES, s, Representative(6), 0.3) for s in ("train", "val"))
    both = {*(i.name for i in kept.images), *(i.name for i in held_out.images)}
    assert both == {i.name for i in load_part(SCENES, "train", Representative(6)).images}


def test_parts_have_names_of_their_own_in_the_image_cache() -> None:
    names = {
        part_name("train", limit, holdout)
        for limit in (None, Representative(3), Representative(4))
        for holdout in (0.0, 0.2)
    }
    assert len(names) == 6
    # Those of before keep theirs, and the number of first images is told apart by the cache.
    assert {part_name("train", 3), part_name("train", 3, 0.2)} == {"train", "train-of-0.2"}
