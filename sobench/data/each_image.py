"""Work on every image of a split, by all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sobench.data.dataset import Dataset
from sobench.environment import usable_cores

T = TypeVar("T")

_PIXEL_BYTES = 16
"""Memory that decoding and resizing takes for each pixel of a picture."""
_MOST_BYTES = 4 * 2**30
"""Memory that all threads may take together for that."""


@contextmanager
def each_image(work: Callable[[int], T], dataset: Dataset) -> Iterator[Iterator[T]]:
    """What ``work`` gives for every index, in the order of the images.

    It is done by threads, because Pillow decodes and resizes without holding Python's lock. The
    error of the first image that has one is raised when its turn comes. At the end of the block
    nothing is at work any more, also after an error or an interruption.
    """
    pool = ThreadPoolExecutor(_threads(dataset))
    try:
        yield pool.map(work, range(len(dataset.images)))
    finally:
        pool.shutdown(cancel_futures=True)


def _threads(dataset: Dataset) -> int:
    """As many as there are cores, and fewer where many large pictures would not fit in memory."""
    largest = max((image.width * image.height for image in dataset.images), default=1)
    return max(1, min(usable_cores(), _MOST_BYTES // (_PIXEL_BYTES * largest)))
