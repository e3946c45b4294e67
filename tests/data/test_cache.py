"""The image cache: built once, shared, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sobench.data.cache import cache_folder, cached_images
from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.data.resize import resize
from sobench.errors import DataError
from sobench.suite.sections import Input

INPUT = Input(size=(32, 48))


class Images:
    """Five images, image ``i`` in grey ``10 * i``, and how often they were read."""

    def __init__(self, broken: int | None = None) -> None:
        self.reads: list[int] = []
        self.broken = broken

    def __call__(self, index: int) -> ImageArray:
        self.reads.append(index)
        if index == self.broken:
            raise DataError(f"{index}.png: is damaged")
        image = np.full((20, 40, 3), 10 * index, dtype=np.uint8)
        image[:, :20, 0] = 255
        return image


def dataset(read: Images, count: int = 5) -> Dataset:
    none = as_boxes([])
    images = tuple(
        AnnotatedImage(i, f"{i}.png", 40, 20, none, as_labels([]), np.zeros(0), none, as_labels([]))
        for i in range(count)
    )
    return Dataset("test", ("a",), (1,), images, read)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a" / "cache"
    monkeypatch.setenv("SOBENCH_CACHE", str(path))
    return path


def test_holds_every_resized_image(folder: Path) -> None:
    read = Images()
    images = cached_images(dataset(read), "train", "f", INPUT)
    assert isinstance(images, np.memmap)
    assert images.shape == (5, 32, 48, 3)
    assert images.dtype == np.uint8
    assert not images.flags.writeable
    for index in range(5):
        assert np.array_equal(images[index], resize(Images()(index), INPUT))
    assert [path.suffix for path in folder.iterdir()] == [".npy"]


def test_is_built_once_and_shared(folder: Path) -> None:
    read = Images()
    calls: list[tuple[int, int]] = []
    first = cached_images(dataset(read), "train", "f", INPUT, lambda *done: calls.append(done))
    again = cached_images(dataset(read), "train", "f", INPUT, lambda *done: calls.append(done))
    assert read.reads == [0, 1, 2, 3, 4]
    assert calls == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert np.array_equal(first, again)
    assert len(list(folder.iterdir())) == 1


def test_is_rebuilt_for_every_change_of_its_pixels(folder: Path) -> None:
    read = Images()
    whole = dataset(read)
    cached_images(whole, "train", "f", INPUT)
    cached_images(whole, "val", "f", INPUT)
    cached_images(whole, "train", "other data", INPUT)
    cached_images(whole.first(3), "train", "f", INPUT)
    cached_images(whole, "train", "f", Input(size=(48, 32)))
    letterbox = cached_images(whole, "train", "f", Input(size=(32, 48), resize="letterbox"))
    assert len(list(folder.iterdir())) == 6
    assert len(read.reads) == 5 * 5 + 3
    assert letterbox[0, -1, 0].tolist() == [124, 116, 104]


def test_a_failed_read_leaves_nothing(folder: Path) -> None:
    with pytest.raises(DataError, match=r"3\.png: is damaged"):
        cached_images(dataset(Images(broken=3)), "train", "f", INPUT)
    assert list(folder.iterdir()) == []
    images = cached_images(dataset(Images()), "train", "f", INPUT)
    assert images[3, 0, -1, 1] == 30


def test_a_stopped_build_leaves_nothing(folder: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_images(dataset(Images()), "train", "f", INPUT, stop)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", ["cut", b"", b"no array at all", "shape"])
def test_a_damaged_file_is_named(content: bytes | str, folder: Path) -> None:
    cached_images(dataset(Images()), "train", "f", INPUT)
    (path,) = folder.iterdir()
    if content == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif content == "shape":
        np.save(path, np.zeros((5, 32, 40, 3), dtype=np.uint8))
    else:
        assert isinstance(content, bytes)
        path.write_bytes(content)
    with pytest.raises(DataError, match="delete this file, it will be rebuilt") as error:
        cached_images(dataset(Images()), "train", "f", INPUT)
    assert str(path) in str(error.value)
    path.unlink()
    assert len(cached_images(dataset(Images()), "train", "f", INPUT)) == 5


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
    original = Path.open

    def on_full_disk(self: Path, mode: str = "r", buffering: int = 0) -> object:
        return original(full if mode == "wb" else self, mode, buffering)

    monkeypatch.setattr(Path, "open", on_full_disk)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        cached_images(dataset(Images()), "train", "f", INPUT)
    assert list(folder.iterdir()) == []


def test_folder_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", "~/chosen")
    assert cache_folder() == Path.home() / "chosen"
    monkeypatch.delenv("SOBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/sobench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "sobench"
