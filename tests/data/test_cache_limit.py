"""The limit of the image caches: what it counts, and that pixels are the same beyond it."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from sobench.data.cache import cache_bytes, cache_lock, cached_images
from sobench.data.cache_limit import LIMIT, cache_room, limit_text, parse_size
from sobench.data.dataset import Images
from sobench.data.pixels import resized_images
from sobench.data.resize import DecodedImages
from sobench.data.split_sizes import split_sizes
from sobench.errors import RequestError
from sobench.suite.input import Input
from tests.data import cached_pictures as pictures
from tests.data.cached_pictures import INPUT, build, dataset, files

Disk = namedtuple("Disk", "total used free")

SHORTER = Input(size=(32, 48), resize="shorter_side")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("1000", 1000), ("2K", 2048), ("50G", 50 * 2**30), ("1.5 TiB", 3 * 2**39),
        ("10mb", 10 * 2**20), (" 7 B ", 7),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["much", "-1", "5X", "G", "1,5G", "50 % of it", "1e9", "٣G"])
def test_what_is_not_a_size(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, text)
    with pytest.raises(RequestError, match=f"{LIMIT}: .* is not a size; write bytes, such as 50G"):
        build()


def test_without_a_limit_half_of_the_free_disk_may_be_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LIMIT, raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 1000))
    assert cache_room(folder) == 500
    assert cached_images(dataset(pictures.Images()), "train", "f", INPUT) is None
    assert "half of the free disk" in limit_text()


def test_all_caches_count_together_and_those_that_are_built_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = dataset(pictures.Images())
    size = cache_bytes(split_sizes(pixels).images, INPUT)
    monkeypatch.setenv(LIMIT, str(2 * size - 1))
    build()
    (path,) = files(folder)
    assert path.stat().st_size == size
    assert cached_images(pixels, "val", "f", INPUT) is None
    assert files(folder) == [path]
    build()  # is there already
    monkeypatch.setenv(LIMIT, str(2 * size))
    assert cached_images(pixels, "val", "f", INPUT) is not None
    # What another process is about to write counts as well.
    monkeypatch.setenv(LIMIT, str(3 * size))
    with cache_lock("other.images"):
        (folder / ".other.images.host.7.0123abcd.tmp").write_bytes(b"1")
        assert cached_images(pixels, "other data", "f", INPUT) is None


def test_a_limit_above_the_free_disk_is_that_of_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, "1T")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 1000))
    assert cache_room(folder) == 1000


@pytest.mark.parametrize("settings", [INPUT, SHORTER], ids=lambda s: s.resize)
def test_beyond_the_limit_the_same_pixels_are_decoded(
    settings: Input, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resized(warnings: list[str]) -> Images:
        return resized_images(
            dataset(pictures.Images()), "train", "f", settings, lambda *_: None, warnings.append,
            lambda: None,
        )  # fmt: skip

    cached = resized([])
    (path,) = files(folder)
    path.unlink()
    monkeypatch.setenv(LIMIT, "0")
    warnings: list[str] = []
    decoded = resized(warnings)
    assert isinstance(decoded, DecodedImages)
    assert len(cached) == len(decoded) == 5
    assert all(np.array_equal(cached[index], decoded[index]) for index in range(5))
    assert warnings == [
        "train: an image cache of 0.0 GiB would pass SOBENCH_CACHE_LIMIT of 0; images are decoded "
        "whenever they are needed, which takes processors"
    ]
    assert files(folder) == []


def test_images_are_cached_without_padding(folder: Path) -> None:
    pictures.cached(pictures.Images(), settings=SHORTER)
    (path,) = files(folder)
    pixels = 5 * 3 * 24 * 48  # 20 x 40 px, of which the longer side becomes 48
    assert 0 < path.stat().st_size - pixels < 200
    assert path.stat().st_size == cache_bytes({(20, 40): 5}, SHORTER)
