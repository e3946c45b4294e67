"""Decoded and resized images in one memory-mapped file, shared by all methods, seeds and runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0

from sobench.data.dataset import Dataset, ImageArray
from sobench.data.resize import input_shape, resize
from sobench.errors import DataError
from sobench.files import atomic_path
from sobench.suite.sections import Input

_VERSION = 1


def cache_folder() -> Path:
    """``SOBENCH_CACHE`` if it is set, else ``sobench`` in the user's cache folder."""
    chosen = os.environ.get("SOBENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sobench"


def cached_images(
    dataset: Dataset,
    split: str,
    fingerprint: str,
    settings: Input,
    callback: Callable[[int, int], None] | None = None,
) -> ImageArray:
    """``[N, H, W, 3]`` uint8 pixels of a split, built on first use and mapped into memory.

    The file appears under its name only when it is complete, so a build that is killed leaves no
    file that a later run could mistake for the cache.

    Args:
        dataset: the split.
        split: its name.
        fingerprint: of the dataset; a changed dataset gets a new file.
        settings: size of the network input and kind of resizing.
        callback: called with the number of images done and of all images, after each image.

    Raises:
        DataError: an image cannot be read, or the disk is too small.
    """
    count = len(dataset.images)
    # Whatever can change a pixel is in the name, so a cache is never out of date.
    key = {
        "version": _VERSION,
        "data": fingerprint,
        "input": settings.model_dump(mode="json"),
        "split": split,
        "count": count,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_folder() / f"{split}-{digest}.npy"
    if not path.exists():
        _build(path, dataset, settings, callback)
    try:
        images: ImageArray = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: the image cache is damaged ({error}); delete this file, it will be rebuilt"
        ) from None
    if images.shape != (count, *input_shape(settings), 3):
        raise DataError(
            f"{path}: the image cache has shape {images.shape}; "
            "delete this file, it will be rebuilt"
        )
    return images


def _build(
    path: Path,
    dataset: Dataset,
    settings: Input,
    callback: Callable[[int, int], None] | None,
) -> None:
    count = len(dataset.images)
    shape = (count, *input_shape(settings), 3)
    try:
        # Written, not mapped: on a full disk a write fails, but a mapping kills the process.
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            descr = dtype_to_descr(np.dtype(np.uint8))
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            write_array_header_1_0(file, header)
            for index in range(count):
                file.write(resize(dataset.read_image(index), settings).tobytes())
                if callback is not None:
                    callback(index + 1, count)
    except OSError as error:
        gib = np.prod(shape) / 2**30
        raise DataError(
            f"{path}: the image cache of {gib:.1f} GiB cannot be written "
            f"({error.strerror or error}); set SOBENCH_CACHE to a folder with room"
        ) from None
