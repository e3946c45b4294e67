"""A damaged image cache is named, and never read as if it were sound."""

from __future__ import annotations

import errno
import os
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from sobench.data.cache import cached_images, check_images
from sobench.errors import DataError
from tests.data.cached_pictures import INPUT, Images, build, dataset, files, right

RIGHT = right()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("SOBENCH_CACHE", str(path))
    return path


@pytest.mark.parametrize("content", [b"", b"no cache at all", b"\x93NUMPY\x01\x00v\x00{'descr'"])
def test_another_file_is_named(content: bytes, folder: Path) -> None:
    build()
    (path,) = files(folder)
    path.write_bytes(content)
    with pytest.raises(DataError, match="delete this file, it will be built anew") as error:
        build()
    assert str(path) in str(error.value)
    path.unlink()
    assert len(build()) == 5


def damaged(content: bytes, kind: str, rng: random.Random) -> bytes:
    """A file of which something is changed at random."""
    at = rng.randrange(len(content))
    length = rng.randint(1, 5000)
    if kind == "bit":
        changed = bytearray(content)
        changed[at] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if kind == "bytes":
        return content[:at] + rng.randbytes(length)[: len(content) - at] + content[at + length :]
    if kind == "zeros":
        return content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]
    if kind == "moved":
        return content[at:] + content[:at]
    return {"cut": content[:at], "longer": content + rng.randbytes(length)}[kind]


def reads_right_or_tells(path: Path) -> bool:
    """Whether damage was told; asserts that nothing but the right pixels was read."""
    with suppress(DataError):
        images = build()
        for index in range(5):
            try:
                pixels = images[index]
            except DataError as error:
                return str(error).startswith(f"{path}: the image cache is damaged (image {index} ")
            assert np.array_equal(pixels, RIGHT[index])
        return False
    return True


@pytest.mark.parametrize("kind", ["bit", "bytes", "zeros", "moved", "cut", "longer"])
def test_damage_is_never_read(folder: Path, kind: str) -> None:
    """In the header, the table or the pixels: told when it is opened or when it is read."""
    build()
    (path,) = files(folder)
    content, rng, told = path.read_bytes(), random.Random(0), 0
    for _ in range(100):
        path.write_bytes(damaged(content, kind, rng))
        told += reads_right_or_tells(path)
    assert told >= 80  # some zeros are put where zeros were


def test_head_and_table_are_checked_byte_by_byte(folder: Path) -> None:
    build()
    (path,) = files(folder)
    content = path.read_bytes()
    for at in range(len(content) - RIGHT.nbytes):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(DataError, match="the image cache is damaged"):
            build()


def test_a_cache_under_the_name_of_another_is_refused(folder: Path) -> None:
    build()
    (path,) = files(folder)
    cached_images(dataset(Images()), "train", "other data", INPUT)
    (other,) = set(files(folder)) - {path}
    path.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match="it was made for other images or another input"):
        build()


def test_damage_while_it_is_in_use_is_told(folder: Path) -> None:
    """Where a mapping would end the process."""
    images = build()
    (path,) = files(folder)
    os.truncate(path, path.stat().st_size // 2)
    assert np.array_equal(images[0], RIGHT[0])
    with pytest.raises(DataError, match=r"damaged \(image 4 is not what was written\)"):
        images[4]
    with pytest.raises(DataError, match="delete this file"):
        check_images(images)


def test_stays_readable_when_it_is_deleted(folder: Path) -> None:
    images = build()
    files(folder)[0].unlink()
    check_images(images)


def test_a_disk_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    images = build()

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(DataError, match=r"image 2 of the cache cannot be read \(Input/output er"):
        images[2]
