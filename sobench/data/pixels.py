"""The pixels of a split: from the image cache, or decoded whenever they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sobench.data.cache import cache_bytes, cached_images
from sobench.data.cache_limit import limit_text
from sobench.data.dataset import Dataset, ImageArray, Images, IntArray
from sobench.data.images import ImageFiles
from sobench.data.resize import DecodedImages
from sobench.data.split_sizes import split_sizes
from sobench.errors import DataError
from sobench.suite.input import Input


def resized_images(
    dataset: Dataset,
    split: str,
    fingerprint: str,
    settings: Input,
    callback: Callable[[int, int], None],
    warn: Callable[[str], None],
    check: Callable[[], None],
) -> Images:
    """The images of a split as the network sees them; bit for bit the same with and without cache.

    Args:
        warn: told if another process builds the cache, and if there is none.
        dataset, split, fingerprint, settings, callback, check: as of ``cached_images``, which says
            what is raised too.
    """
    images = cached_images(dataset, split, fingerprint, settings, callback, warn, check)
    if images is not None:
        return images
    warn(not_cached(split, cache_bytes(split_sizes(dataset).images, settings)))
    decoded = DecodedImages(dataset, settings)
    if not isinstance(dataset.read_image, ImageFiles):
        return decoded
    paths = dataset.read_image.paths[: len(decoded)]
    states = np.array([_state(path) for path in paths], dtype=np.int64)
    check()  # afterwards, so that these states are those of the right content
    return _WatchedImages(decoded, paths, states)


def not_cached(split: str, size: int) -> str:
    """The message about a split whose cache would take ``size`` bytes, more than it may."""
    return (
        f"{split}: an image cache of {size / 2**30:.1f} GiB would pass {limit_text()}; images are "
        "decoded whenever they are needed, which takes processors"
    )


@dataclass(frozen=True)
class _WatchedImages:
    """Images of files that are decoded whenever one is asked for, as long as they do not change.

    Attributes:
        states: ``[N, 4]`` size, times and inode of every file.
    """

    decoded: DecodedImages
    paths: tuple[Path, ...]
    states: IntArray

    def __len__(self) -> int:
        return len(self.decoded)

    def __getitem__(self, index: int, /) -> ImageArray:
        """``[h, w, 3]`` uint8, not padded.

        Raises:
            DataError: the image cannot be read, or is not the one that the command began with.
        """
        pixels = self.decoded[index]
        if _state(self.paths[index]) != tuple(self.states[index]):
            raise DataError(
                f"{self.paths[index]}: has changed since this command began; run this again when "
                "the dataset is complete"
            )
        return pixels


def _state(path: Path) -> tuple[int, ...]:
    """What changes with the content of a file; zeros without a file."""
    try:
        state = os.stat(path)  # noqa: PTH116 - twice as fast for thousands of files
    except OSError:
        return 0, 0, 0, 0
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino
