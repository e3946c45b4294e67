"""Decoded and resized images in one file, shared by all methods, seeds and runs.

The file is a header, a table with a CRC-32 for each image, the SHA-256 of both, and the pixels of
one image after the other, without padding. The header names all that the pixels depend on, by a
digest. Header and table are checked when the file is opened, pixels whenever they are read, so that
damage is never trained on.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sobench.data.cache_folder import cache_folder
from sobench.data.cache_limit import cache_room
from sobench.data.dataset import Dataset, ImageArray, IntArray, Size
from sobench.data.each_image import each_image
from sobench.data.resize import resize, resize_geometry
from sobench.errors import DataError, DiskFull, RunLocked, SobenchError
from sobench.files import atomic_path, remove_orphans, temporary_names, write_sealed
from sobench.locks import locked
from sobench.suite.input import Input

_VERSION = 3
_MAGIC = b"sobench images\n\0"
_SHA256_BYTES = 32


class CachedImages:
    """Images ``[h, w, 3]`` uint8 in a file; every one is checked as it is read.

    An image is in memory of the caller's own. The file is read, not mapped: if it is cut while it
    is in use, a mapping would kill the process. It stays readable when it is deleted. Loader
    processes get their own by pickling or forking.

    Attributes:
        path: the file.
        sizes: ``[N, 2]`` height and width of every image.
    """

    def __init__(self, path: Path, sizes: IntArray, checksums: NDArray[np.uint32]) -> None:
        self.path, self.sizes, self._checksums = path, sizes, checksums
        self._starts = _starts(sizes)
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[object, ...]:
        return CachedImages, (self.path, self.sizes, self._checksums)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int, /) -> ImageArray:
        """Read an image.

        Raises:
            DataError: it is damaged or cannot be read.
        """
        number = range(len(self))[index]
        return self._read(number, np.empty((*self.sizes[number], 3), np.uint8))

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return int(self._starts[-1] - self._starts[0])

    def _read(self, number: int, image: ImageArray) -> ImageArray:
        """Fill ``image`` with the pixels of an image and check them."""
        start, done = int(self._starts[number]), 0
        buffer = image.data.cast("B")
        try:
            while count := os.preadv(self._file, [buffer[done:]], start + done):
                done += count
        except OSError as error:
            raise DataError(
                f"{self.path}: image {number} of the cache cannot be read "
                f"({error.strerror or error}); delete this file, it will be built anew"
            ) from None
        if done < image.nbytes or zlib.crc32(buffer) != self._checksums[number]:
            raise _damaged(self.path, f"image {number} is not what was written")
        return image


def cache_lock(
    name: str, wait: Callable[[str], None] | None = None
) -> AbstractContextManager[None]:
    """Hold the right to write the file of this name in the cache folder; see ``locked``."""
    return locked(cache_folder() / ".locks" / name, wait)


def remember(memory: Path, content: bytes) -> None:
    """Write a file of the cache folder that only saves time, so that an error harms no result."""
    with suppress(OSError, SobenchError), cache_lock(memory.name):
        remove_orphans(memory.parent, memory.name)
        write_sealed(memory, content)


def cached_images(
    dataset: Dataset,
    split: str,
    fingerprint: str,
    settings: Input,
    callback: Callable[[int, int], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
    check: Callable[[], None] | None = None,
) -> CachedImages | None:
    """The pixels of a split, built on first use; ``None`` if that would pass the cache's limit.

    The file appears under its name only when it is complete, so a build that is killed leaves no
    file that a later run could mistake for the cache. Of several processes one builds it, and the
    others wait.

    Args:
        dataset: the split.
        split: its name.
        fingerprint: of the dataset; a changed dataset gets a new file.
        settings: size of the network input and kind of resizing.
        callback: called with the number of images done and of all images, after each image.
        on_wait: told, once, that another process builds the file.
        check: called when all images are read; raises if the dataset has changed meanwhile, and
            then there is no file.

    Raises:
        DataError: an image cannot be read, or the file is damaged or cannot be written.
        DiskFull: the disk is too small.
        RequestError: ``SOBENCH_CACHE_LIMIT`` is not a size.
    """
    sizes = _resized_sizes(dataset, settings)
    identity = _identity(len(sizes), split, fingerprint, settings)
    path = cache_file(len(sizes), split, fingerprint, settings)
    header = _MAGIC + identity
    if not path.exists():
        try:
            with cache_lock(path.name, _told_once(on_wait)):
                _remove_dead_builds(path)
                if not path.exists():
                    if _file_bytes(sizes) > cache_room(cache_folder()):
                        return None
                    _build(path, header, sizes, dataset, settings, callback, check)
        except DiskFull as error:
            raise DiskFull(f"{error}, or set SOBENCH_CACHE to a folder with room") from None
        except OSError as error:
            raise DataError(
                f"{path}: the image cache of {_file_bytes(sizes) / 2**30:.1f} GiB cannot be "
                f"written ({error.strerror or error}); set SOBENCH_CACHE to a folder with room"
            ) from None
    return _opened(path, header, sizes)


def cache_file(count: int, split: str, fingerprint: str, settings: Input) -> Path:
    """The file of ``cached_images`` of so many images, whether it is there or not."""
    identity = _identity(count, split, fingerprint, settings)
    return cache_folder() / f"{split}-{identity.hex()[:16]}.images"


def cache_bytes(sizes: Mapping[Size, int], settings: Input) -> int:
    """The size of the file of images, by their number of each (height, width)."""
    pixels = sum(
        count * prod(resize_geometry(settings, size).size) for size, count in sizes.items()
    )
    return _head_bytes(sum(sizes.values())) + 3 * pixels


def _resized_sizes(dataset: Dataset, settings: Input) -> IntArray:
    """``[N, 2]`` height and width of the images, as they are cached."""
    sizes = [resize_geometry(settings, image.size).size for image in dataset.images]
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)


def _identity(count: int, split: str, fingerprint: str, settings: Input) -> bytes:
    """SHA-256 of whatever can change a pixel, so that a cache is never out of date."""
    key = {
        "version": _VERSION,
        "data": fingerprint,
        "input": settings.model_dump(mode="json"),
        "split": split,
        "count": count,
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).digest()


def check_images(images: CachedImages) -> None:
    """Read every image once.

    Raises:
        DataError: one is damaged.
    """
    for index in range(len(images)):
        images[index]


def _told_once(on_wait: Callable[[str], None] | None) -> Callable[[str], None]:
    reasons: list[str] = []

    def wait(reason: str) -> None:
        if not reasons and on_wait is not None:
            on_wait(f"waiting for another process that builds the image cache ({reason})")
        reasons.append(reason)

    return wait


def _remove_dead_builds(path: Path) -> None:
    """Delete what killed processes left, of this file, whose lock is held, and of any other."""
    for name in temporary_names(path.parent):
        with suppress(RunLocked), nullcontext() if name == path.name else cache_lock(name):
            remove_orphans(path.parent, name)


def _build(
    path: Path,
    header: bytes,
    sizes: IntArray,
    dataset: Dataset,
    settings: Input,
    callback: Callable[[int, int], None] | None,
    check: Callable[[], None] | None,
) -> None:
    count, starts = len(sizes), _starts(sizes)
    checksums = np.zeros(count, np.uint32)
    # Written, not mapped: on a full disk a write fails, but a mapping kills the process.
    with atomic_path(path, int(starts[-1])) as temporary, temporary.open("wb") as file:
        file.truncate(int(starts[-1]))  # so that other processes see how much room it takes
        write = partial(_write_image, file.fileno(), dataset, settings, sizes, starts)
        with each_image(write, dataset) as written:
            for index, checksum in enumerate(written):
                checksums[index] = checksum
                if callback is not None:
                    callback(index + 1, count)
        if check is not None:
            check()
        head = header + checksums.astype("<u4").tobytes()
        file.write(head + hashlib.sha256(head).digest())


def _write_image(
    file: int, dataset: Dataset, settings: Input, sizes: IntArray, starts: IntArray, index: int
) -> int:
    """Write an image to its place; its checksum."""
    image = resize(dataset.read_image(index), settings)
    if image.shape[:2] != tuple(sizes[index]):
        raise DataError(f"{dataset.images[index].name}: has another size than its annotation says")
    pixels, done = image.tobytes(), 0
    while done < len(pixels):
        done += os.pwrite(file, memoryview(pixels)[done:], int(starts[index]) + done)
    return zlib.crc32(pixels)


def _opened(path: Path, header: bytes, sizes: IntArray) -> CachedImages:
    """The file, once its size, header and table are found right."""
    try:
        with path.open("rb") as file:
            head, found = file.read(_head_bytes(len(sizes))), os.fstat(file.fileno()).st_size
        expected = _file_bytes(sizes)
        if found != expected:
            raise _damaged(path, f"it has {found} bytes, not {expected}")
        content, digest = head[:-_SHA256_BYTES], head[-_SHA256_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            raise _damaged(path, "its table of checksums is not what was written")
        if not content.startswith(header):
            raise _damaged(path, "it was made for other images or another input")
        checksums = np.frombuffer(content, "<u4", offset=len(header)).astype(np.uint32)
        return CachedImages(path, sizes, checksums)
    except OSError as error:
        raise DataError(
            f"{path}: the image cache cannot be read ({error.strerror or error}); "
            "delete this file, it will be built anew"
        ) from None


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"{path}: the image cache is damaged ({why}); delete this file, it will be built anew"
    )


def _head_bytes(count: int) -> int:
    """Bytes before the first pixel, in a file of ``count`` images."""
    return len(_MAGIC) + _SHA256_BYTES + 4 * count + _SHA256_BYTES


def _starts(sizes: IntArray) -> IntArray:
    """``[N + 1]`` the byte that each image begins at, and the end of the file."""
    starts: IntArray = np.cumsum([_head_bytes(len(sizes)), *(3 * sizes.prod(axis=1))])
    return starts


def _file_bytes(sizes: IntArray) -> int:
    return int(_starts(sizes)[-1])
