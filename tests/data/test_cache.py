"""The image cache: built once, shared, whole or not at all."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from sobench.data.cache import cache_lock, cached_images
from sobench.data.cache_folder import cache_folder
from sobench.errors import DataError, DiskFull
from sobench.suite.input import Input
from tests.data.cached_pictures import INPUT, Images, build, dataset, every, files, right


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a" / "cache"
    monkeypatch.setenv("SOBENCH_CACHE", str(path))
    return path


def test_holds_every_resized_image(folder: Path) -> None:
    images = build()
    assert images.sizes.tolist() == [[32, 48]] * 5
    assert len(images) == 5
    assert images.nbytes == right().nbytes
    for index in range(5):
        assert images[index].dtype == np.uint8
        assert np.array_equal(images[index], right()[index])
    assert [path.suffix for path in files(folder)] == [".images"]


@pytest.mark.parametrize("index", [0, 4, -1, -5])
def test_is_indexed_as_an_array_is(index: int) -> None:
    assert np.array_equal(build()[index], right()[index])
    with pytest.raises(IndexError):
        build()[5]


def test_images_are_the_readers_own() -> None:
    images = build()
    images[1][:] = 0
    assert np.array_equal(every(images), right())


def test_goes_to_other_processes() -> None:
    copy = pickle.loads(pickle.dumps(build()))
    assert np.array_equal(every(copy), right())


def test_is_built_once_and_shared(folder: Path) -> None:
    read = Images()
    calls: list[tuple[int, int]] = []
    first = cached_images(dataset(read), "train", "f", INPUT, lambda *done: calls.append(done))
    again = cached_images(dataset(read), "train", "f", INPUT, lambda *done: calls.append(done))
    assert sorted(read.reads) == [0, 1, 2, 3, 4]
    assert calls == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert first is not None
    assert again is not None
    assert np.array_equal(every(first), every(again))
    assert len(files(folder)) == 1


def test_is_rebuilt_for_every_change_of_its_pixels(folder: Path) -> None:
    read = Images()
    whole = dataset(read)
    cached_images(whole, "train", "f", INPUT)
    cached_images(whole, "val", "f", INPUT)
    cached_images(whole, "train", "other data", INPUT)
    cached_images(whole.first(3), "train", "f", INPUT)
    cached_images(whole, "train", "f", Input(size=(48, 32)))
    letterbox = cached_images(whole, "train", "f", Input(size=(32, 48), resize="letterbox"))
    assert len(files(folder)) == 6
    assert len(read.reads) == 5 * 5 + 3
    assert letterbox is not None
    assert letterbox[0].shape == (24, 48, 3)  # without the padding


def test_a_failed_read_leaves_nothing(folder: Path) -> None:
    with pytest.raises(DataError, match=r"3\.png: is damaged"):
        cached_images(dataset(Images(broken=3)), "train", "f", INPUT)
    assert files(folder) == []
    assert build()[3][0, -1, 1] == 30


def test_data_that_change_while_they_are_read_leave_nothing(folder: Path) -> None:
    read = Images()

    def check() -> None:
        assert len(read.reads) == 5
        raise DataError("dataset: has changed")

    with pytest.raises(DataError, match="has changed"):
        cached_images(dataset(read), "train", "f", INPUT, check=check)
    assert files(folder) == []


def test_a_stopped_build_leaves_nothing(folder: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_images(dataset(Images()), "train", "f", INPUT, stop)
    assert files(folder) == []


def test_what_killed_builds_left_is_removed(folder: Path) -> None:
    build()
    (path,) = files(folder)
    path.unlink()
    for name in (path.name, "val-0123.images"):
        (folder / f".{name}.host.7.0123abcd.tmp").touch()
    (folder / "notes.txt").touch()
    with cache_lock("train-live.images"):
        alive = folder / ".train-live.images.host.7.0123abcd.tmp"
        alive.touch()
        build()
    assert {file.name for file in files(folder)} == {path.name, "notes.txt", alive.name}


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    folder.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="set SOBENCH_CACHE to a folder with room") as error:
        cached_images(dataset(Images()), "train", "f", INPUT)
    assert str(folder) in str(error.value)
    assert "0.0 GiB" in str(error.value)


def test_a_full_disk_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the write fails; a mapped file would kill the process instead."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full, a disk without room")
    original = os.pwrite
    needed = right().nbytes // 1024 + 1
    with full.open("wb") as device:
        monkeypatch.setattr(os, "pwrite", lambda _, *data: original(device.fileno(), *data))
        with pytest.raises(DiskFull, match=f"is full: {needed} KiB needed, .* set SOBENCH_CA"):
            build()
    assert files(folder) == []


def test_folder_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", "~/chosen")
    assert cache_folder() == Path.home() / "chosen"
    monkeypatch.delenv("SOBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/sobench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "sobench"


def test_an_image_may_be_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.preadv
    images = build()
    monkeypatch.setattr(
        os, "preadv", lambda file, buffers, at: original(file, [buffers[0][:99]], at)
    )
    assert np.array_equal(every(images), right())
