"""Decoded and resized images in one file, shared by all methods, seeds and runs.

The file is a header, a table with a CRC-32 for each image, the SHA-256 of both, and the pixels.
The header names all that the pixels depend on, by a digest. Header and table are checked when the
file is opened, pixels whenever they are read, so that damage is never trained on.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sobench.data.cache_folder import cache_folder
from sobench.data.dataset import Dataset, ImageArray
from sobench.data.resize import input_shape, resize
from sobench.errors import DataError, DiskFull, RunLocked
from sobench.files import atomic_path, remove_orphans, temporary_names
from sobench.locks import locked
from sobench.suite.input import Input

_VERSION = 2
_MAGIC = b"sobench images\n\0"
_SHA256_BYTES = 32

Shape = tuple[int, int, int, int]


class CachedImages:
    """``[N, H, W, 3]`` uint8 images in a file; every one is checked as it is read.

    An index gives ``[H, W, 3]``, a slice ``[n, H, W, 3]``, in memory of the caller's own. The file
    is read, not mapped: if it is cut while it is in use, a mapping would kill the process. It stays
    readable when it is deleted. Loader processes get their own by pickling or forking.

    Attributes:
        path: the file.
        shape: number of images, height, width, 3.
    """

    def __init__(self, path: Path, shape: Shape, checksums: NDArray[np.uint32]) -> None:
        self.path, self.shape, self._checksums = path, shape, checksums
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[object, ...]:
        return CachedImages, (self.path, self.shape, self._checksums)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> ImageArray:
        """Read images.

        Raises:
            DataError: an image is damaged or cannot be read.
        """
        chosen = range(len(self))[index]
        if isinstance(chosen, int):
            return self._read(chosen, np.empty(self.shape[1:], np.uint8))
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for position, number in enumerate(chosen):
            self._read(number, images[position])
        return images

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return _pixel_bytes(self.shape)

    def _read(self, number: int, image: ImageArray) -> ImageArray:
        """Fill ``image`` with the pixels of an image and check them."""
        start, done = _head_bytes(len(self)) + number * image.nbytes, 0
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


def cached_images(
    dataset: Dataset,
    split: str,
    fingerprint: str,
    settings: Input,
    callback: Callable[[int, int], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
    check: Callable[[], None] | None = None,
) -> CachedImages:
    """The pixels of a split ``[N, H, W, 3]``, built on first use.

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
    """
    shape = (len(dataset.images), *input_shape(settings), 3)
    identity = _identity(dataset, split, fingerprint, settings)
    path = cache_file(dataset, split, fingerprint, settings)
    header = _MAGIC + identity
    if not path.exists():
        try:
            with cache_lock(path.name, _told_once(on_wait)):
                _remove_dead_builds(path)
                if not path.exists():
                    _build(path, header, shape, dataset, settings, callback, check)
        except DiskFull as error:
            raise DiskFull(f"{error}, or set SOBENCH_CACHE to a folder with room") from None
        except OSError as error:
            raise DataError(
                f"{path}: the image cache of {_pixel_bytes(shape) / 2**30:.1f} GiB cannot be "
                f"written ({error.strerror or error}); set SOBENCH_CACHE to a folder with room"
            ) from None
    return _opened(path, header, shape)


def cache_file(dataset: Dataset, split: str, fingerprint: str, settings: Input) -> Path:
    """The file of ``cached_images``, whether it is there or not."""
    identity = _identity(dataset, split, fingerprint, settings)
    return cache_folder() / f"{split}-{identity.hex()[:16]}.images"


def cache_bytes(count: int, settings: Input) -> int:
    """The size of the file of so many images."""
    return _head_bytes(count) + _pixel_bytes((count, *input_shape(settings), 3))


def _identity(dataset: Dataset, split: str, fingerprint: str, settings: Input) -> bytes:
    """SHA-256 of whatever can change a pixel, so that a cache is never out of date."""
    key = {
        "version": _VERSION,
        "data": fingerprint,
        "input": settings.model_dump(mode="json"),
        "split": split,
        "count": len(dataset.images),
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
    shape: Shape,
    dataset: Dataset,
    settings: Input,
    callback: Callable[[int, int], None] | None,
    check: Callable[[], None] | None,
) -> None:
    checksums = np.zeros(shape[0], np.uint32)
    needed = _head_bytes(shape[0]) + _pixel_bytes(shape)
    # Written, not mapped: on a full disk a write fails, but a mapping kills the process.
    with atomic_path(path, needed) as temporary, temporary.open("wb") as file:
        file.seek(_head_bytes(shape[0]))
        for index in range(shape[0]):
            pixels = resize(dataset.read_image(index), settings).tobytes()
            checksums[index] = zlib.crc32(pixels)
            file.write(pixels)
            if callback is not None:
                callback(index + 1, shape[0])
        if check is not None:
            check()
        head = header + checksums.astype("<u4").tobytes()
        file.seek(0)
        file.write(head + hashlib.sha256(head).digest())


def _opened(path: Path, header: bytes, shape: Shape) -> CachedImages:
    """The file, once its size, header and table are found right."""
    size = _head_bytes(shape[0])
    try:
        with path.open("rb") as file:
            head, found = file.read(size), os.fstat(file.fileno()).st_size
        expected = size + _pixel_bytes(shape)
        if found != expected:
            raise _damaged(path, f"it has {found} bytes, not {expected}")
        content, digest = head[:-_SHA256_BYTES], head[-_SHA256_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            raise _damaged(path, "its table of checksums is not what was written")
        if not content.startswith(header):
            raise _damaged(path, "it was made for other images or another input")
        checksums = np.frombuffer(content, "<u4", offset=len(header)).astype(np.uint32)
        return CachedImages(path, shape, checksums)
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


def _pixel_bytes(shape: Shape) -> int:
    count, height, width, channels = shape
    return count * height * width * channels
