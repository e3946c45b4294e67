"""How many images of which size a split has, and how many objects: enough to tell what it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sobench.data.dataset import Dataset, Size


@dataclass(frozen=True)
class SplitSizes:
    """Counts of a split.

    Attributes:
        images: (height, width) in pixels -> number of images.
        boxes: number of objects and ignore regions.
    """

    images: Mapping[Size, int]
    boxes: int

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(self.images.values())


def split_sizes(dataset: Dataset) -> SplitSizes:
    """The counts of a split in memory."""
    return SplitSizes(
        Counter(image.size for image in dataset.images),
        sum(len(image.boxes) + len(image.ignore) for image in dataset.images),
    )
