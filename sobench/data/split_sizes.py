"""How many images of which size a split has, and how many objects: enough to tell what it takes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sobench.data.annotations import Split
from sobench.data.cache import remember
from sobench.data.cache_folder import cache_folder
from sobench.data.dataset import Dataset, Size
from sobench.data.formats import coco
from sobench.data.holdout import load_part
from sobench.data.load import expand_root
from sobench.files import read_sealed
from sobench.garbage import no_garbage_collection
from sobench.suite.datasets import DataSpec
from sobench.suite.limit import Limit, as_setting

IMAGE_BYTES, BOX_BYTES = 1300, 48
"""Memory of an annotated image, and of each of its boxes, as measured with 1 and with 8 of them.

While COCO JSON is read, its objects in Python take several times as much.
"""


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

    @property
    def annotation_bytes(self) -> int:
        """Memory that the annotations take, about."""
        return IMAGE_BYTES * self.count + BOX_BYTES * self.boxes


def split_sizes(dataset: Dataset) -> SplitSizes:
    """The counts of a split in memory."""
    return SplitSizes(
        Counter(image.size for image in dataset.images),
        sum(len(image.boxes) + len(image.ignore) for image in dataset.images),
    )


def read_split_sizes(
    spec: DataSpec, split: Split, limit: Limit, holdout: float, fingerprint: str
) -> SplitSizes:
    """The counts of a split, or of the part of it that a run uses.

    They are remembered in the cache folder, so that the annotations are read once. Of drawn scenes,
    which have no file to be read, the most boxes that there may be are told.

    Args:
        limit, holdout: as of ``load_part``.
        fingerprint: of the dataset; without one nothing is remembered.

    Raises:
        DataError: the annotations are missing or broken.
    """
    if spec.format == "synthetic" and limit is None and not holdout:
        count = spec.train if split == "train" else spec.val
        return SplitSizes({spec.size: count}, count * spec.objects[1])
    key = [fingerprint, spec.model_dump(mode="json"), split, as_setting(limit), holdout]
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    memory = cache_folder() / f"sizes-{name}.json"
    remembered = _remembered(memory) if fingerprint else None
    if remembered is not None:
        return remembered
    sizes = _read(spec, split, limit, holdout)
    if fingerprint:
        _remember(memory, sizes)
    return sizes


def _read(spec: DataSpec, split: Split, limit: Limit, holdout: float) -> SplitSizes:
    is_whole = limit is None and not holdout
    # A million boxes need not be looked at one by one to be counted.
    if spec.format == "coco" and is_whole and not spec.holdout and spec.max_area is None:
        with no_garbage_collection():
            sizes, boxes = coco.read_image_sizes(expand_root(spec.root), spec, split)
        return SplitSizes(Counter(sizes), boxes)
    return split_sizes(load_part(spec, split, limit, holdout))


def _remembered(memory: Path) -> SplitSizes | None:
    """What is in a file; ``None`` if it is missing or damaged."""
    content = read_sealed(memory)
    if content is None:
        return None
    try:
        images, boxes = json.loads(content)
        return SplitSizes({(height, width): count for height, width, count in images}, boxes)
    except (ValueError, TypeError):  # of another version
        return None


def _remember(memory: Path, sizes: SplitSizes) -> None:
    rows = [[height, width, count] for (height, width), count in sizes.images.items()]
    remember(memory, json.dumps([rows, sizes.boxes]).encode())
