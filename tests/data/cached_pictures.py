"""Five small pictures to be cached, which count how often they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sobench.data.cache import CachedImages, cached_images
from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.data.resize import resize
from sobench.errors import DataError
from sobench.suite.input import Input

INPUT = Input(size=(32, 48))


class Images:
    """Image ``i`` in grey ``10 * i``, red on its left, and how often each was read."""

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


def cached(read: Images, count: int = 5, settings: Input = INPUT) -> CachedImages:
    """The cache of pictures, for which there is room."""
    images = cached_images(dataset(read, count), "train", "f", settings)
    assert images is not None
    return images


def build(count: int = 5) -> CachedImages:
    return cached(Images(), count)


def every(images: CachedImages) -> ImageArray:
    """All images of one size, ``[N, h, w, 3]``."""
    return np.stack([images[index] for index in range(len(images))])


def files(folder: Path) -> list[Path]:
    """All files of a cache folder but the locks, which hold nothing."""
    return [path for path in folder.iterdir() if path.name != ".locks"]


def right(count: int = 5) -> ImageArray:
    """What the cache is to hold."""
    read = Images()
    return np.stack([resize(read(index), INPUT) for index in range(count)])
