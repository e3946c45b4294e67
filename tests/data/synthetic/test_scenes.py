"""Drawn scenes: reproducible, annotated as they are painted, and within their limits."""

from __future__ import annotations

import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from sobench.data.dataset import AnnotatedImage, Dataset
from sobench.data.synthetic import scenes
from sobench.suite.datasets import SyntheticData


def spec(**changes: Any) -> SyntheticData:
    settings = {"train": 4, "val": 3, "size": (96, 128), "objects": (8, 16), **changes}
    return SyntheticData(format="synthetic", **settings)


def same(first: AnnotatedImage, second: AnnotatedImage) -> bool:
    pairs = ((getattr(first, field.name), getattr(second, field.name)) for field in fields(first))
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def larger_scenes() -> Dataset:
    """The layouts of thirty larger scenes; nothing is painted."""
    return scenes.read(spec(train=30, size=(256, 256), objects=(20, 60)), "train")


def test_two_reads_are_equal_in_any_order() -> None:
    one, two = scenes.read(spec(), "train"), scenes.read(spec(), "train")
    assert all(same(a, b) for a, b in zip(one.images, two.images, strict=True))
    forward = [one.read_image(index) for index in range(4)]
    backward = [two.read_image(index) for index in reversed(range(4))][::-1]
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_images_leave_the_first_ones_alone() -> None:
    few, more = scenes.read(spec(train=2), "train"), scenes.read(spec(train=4), "train")
    assert all(same(a, b) for a, b in zip(few.images, more.images, strict=False))
    np.testing.assert_array_equal(few.read_image(1), more.read_image(1))


def test_splits_seeds_and_scenes_differ() -> None:
    sets = [
        scenes.read(spec(), "train"),
        scenes.read(spec(), "val"),
        scenes.read(spec(seed=1), "train"),
        scenes.read(spec(seed=2**31 - 1), "train"),
    ]
    pictures = {data.read_image(index).tobytes() for data in sets for index in range(3)}
    layouts = {data.images[index].boxes.tobytes() for data in sets for index in range(3)}
    assert len(pictures) == len(layouts) == 12


def test_the_first_scene_is_pinned() -> None:
    """If this changes, raise ``VERSION``: the fingerprint must tell old runs from new ones."""
    data = scenes.read(spec(), "train")
    first = data.images[0]
    assert scenes.VERSION == 1
    assert len(first.boxes) + len(first.ignore) == 13
    np.testing.assert_allclose(first.boxes[0], [69.2297, 4.6332, 80.3077, 26.4141], atol=1e-3)
    assert data.read_image(0).mean() == pytest.approx(104.8148, abs=0.01)


def test_the_contract() -> None:
    data = scenes.read(spec(), "val")
    assert data.title == "synthetic val"
    assert data.classes == ("car", "truck", "pedestrian", "bicycle", "tent")
    assert data.category_ids == (1, 2, 3, 4, 5)
    assert [image.id for image in data.images] == [1, 2, 3]
    assert data.images[2].name == "synthetic/val/00002"
    for index, image in enumerate(data.images):
        picture = data.read_image(index)
        assert picture.dtype == np.uint8
        assert picture.shape == (96, 128, 3) == (image.height, image.width, 3)
        assert image.boxes.dtype == image.areas.dtype == image.ignore.dtype == np.float64
        assert image.labels.dtype == image.ignore_labels.dtype == np.int64
        assert len(image.boxes) == len(image.labels) == len(image.areas)
        assert image.ignore.shape == (len(image.ignore_labels), 4)


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_picture_beyond_the_split(index: int) -> None:
    with pytest.raises(IndexError, match="synthetic val has 3 images"):
        scenes.read(spec(), "val").read_image(index)


def test_read_image_travels_to_worker_processes() -> None:
    data = scenes.read(spec(), "train")
    there = pickle.loads(pickle.dumps(data.read_image))
    np.testing.assert_array_equal(there(2), data.read_image(2))


def test_boxes_lie_inside_and_sizes_are_small(larger_scenes: Dataset) -> None:
    for image in larger_scenes.images:
        every = np.concatenate([image.boxes, image.ignore])
        assert (every >= 0).all()
        assert (every <= 256).all()
        sides = image.boxes[:, 2:] - image.boxes[:, :2]
        np.testing.assert_allclose(image.areas, sides.prod(axis=1))
    sizes = np.sqrt(np.concatenate([image.areas for image in larger_scenes.images]))
    assert sizes.min() >= 6 - 1e-6
    assert sizes.max() <= 24 + 1e-6
    assert 11 < np.median(sizes) < 13.5
    assert np.percentile(sizes, 90) - np.median(sizes) > np.median(sizes) - np.percentile(sizes, 10)


def test_number_of_objects(larger_scenes: Dataset) -> None:
    counts = np.array([len(image.boxes) + len(image.ignore) for image in larger_scenes.images])
    assert counts.max() <= 60
    assert counts.min() >= 18
    assert 33 < counts.mean() < 47


def test_a_full_scene_takes_fewer_objects() -> None:
    image = scenes.read(spec(train=1, size=(64, 64), objects=(90, 90)), "train").images[0]
    assert 10 < len(image.boxes) + len(image.ignore) < 90


def test_classes_have_similar_shares(larger_scenes: Dataset) -> None:
    shares = np.bincount(
        np.concatenate([image.labels for image in larger_scenes.images]), minlength=5
    )
    assert (shares / shares.sum() > 0.13).all()
    assert (shares / shares.sum() < 0.28).all()


def test_hidden_objects_become_ignore_regions_of_their_class(larger_scenes: Dataset) -> None:
    hidden = np.concatenate([image.ignore_labels for image in larger_scenes.images])
    shown = sum(len(image.boxes) for image in larger_scenes.images)
    assert 0.01 < len(hidden) / (len(hidden) + shown) < 0.1
    assert set(hidden.tolist()) <= set(range(5))
    assert larger_scenes.notes is not None
    assert sum(larger_scenes.notes.values()) == len(hidden)


def test_objects_stand_out_from_their_surroundings() -> None:
    data = scenes.read(spec(train=6), "train")
    contrast = []
    for index, image in enumerate(data.images):
        picture = data.read_image(index).astype(float)
        for x1, y1, x2, y2 in image.boxes.astype(int):
            around = picture[max(y1 - 3, 0) : y2 + 4, max(x1 - 3, 0) : x2 + 4]
            ground = np.median(around.reshape(-1, 3), axis=0)
            inner = picture[y1 + 1 : y2, x1 + 1 : x2]
            contrast.append(np.abs(inner - ground).mean())
    assert np.mean(contrast) > 25
    assert np.mean(np.array(contrast) > 10) > 0.95


def test_fingerprint_changes_with_the_spec_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"train": 5},
        {"val": 4},
        {"size": (128, 96)},
        {"objects": (8, 17)},
        {"seed": 3},
    ]
    prints = [scenes.fingerprint(spec(**change)) for change in changes]
    assert len(set(prints)) == len(changes)
    assert prints[0] == scenes.fingerprint(spec())
    assert all(len(text) == 12 and int(text, 16) >= 0 for text in prints)
    monkeypatch.setattr(scenes, "VERSION", scenes.VERSION + 1)
    assert scenes.fingerprint(spec()) != prints[0]
