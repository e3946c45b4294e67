"""A part of the training images that is held out, to choose settings by without the val images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sobench.data.annotations import Split
from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray
from sobench.data.images import ImageFiles
from sobench.data.load import load
from sobench.errors import DataError
from sobench.suite.datasets import DataSpec


@dataclass(frozen=True)
class _Chosen:
    """Some images of a dataset as the ``read_image`` of another; pickles as far as that does."""

    dataset: Dataset
    indices: tuple[int, ...]

    def __call__(self, index: int) -> ImageArray:
        return self.dataset.read_image(self.indices[index])


def load_part(
    spec: DataSpec, split: Split, limit: int | None = None, holdout: float = 0.0
) -> Dataset:
    """What a run trains on or is scored on: a split, or with ``holdout`` a part of the train split.

    With ``holdout`` the val split is not read: that share of the training images stands for it.

    Args:
        limit: use only the first images of the split that is read, or ``None`` for all.
        holdout: share of the training images that is held out; 0 holds out none.

    Raises:
        DataError: the dataset is missing, broken or empty, or too small to be divided.
    """
    if not holdout:
        return load(spec, split).first(limit)
    return divided(load(spec, "train").first(limit), holdout)[0 if split == "train" else 1]


def divided(dataset: Dataset, holdout: float) -> tuple[Dataset, Dataset]:
    """The images that are left to train on, and those held out; both keep the dataset's order.

    The images are ranked by a digest of their names, so that their order, the method, the seed and
    all else do not count. Of the images with objects, and of those without, the first ones are held
    out: ``holdout`` of them, rounded, but of those with objects one at least and not the last one.

    Raises:
        DataError: fewer than two images have objects.
    """
    with_objects = [index for index, image in enumerate(dataset.images) if len(image.boxes)]
    if len(with_objects) < 2:
        raise DataError(
            f"{dataset.title}: {len(with_objects)} of {len(dataset.images)} images have objects, "
            "and two are needed to hold out one; raise --limit or annotate more"
        )
    without = [index for index, image in enumerate(dataset.images) if not len(image.boxes)]
    number = min(max(round(holdout * len(with_objects)), 1), len(with_objects) - 1)
    held_out = {*_ranked(dataset.images, with_objects)[:number]}
    held_out |= {*_ranked(dataset.images, without)[: round(holdout * len(without))]}
    kept = [index for index in range(len(dataset.images)) if index not in held_out]
    return _part(dataset, kept, "without the held-out"), _part(
        dataset, sorted(held_out), "held-out"
    )


def _ranked(images: Sequence[AnnotatedImage], indices: Sequence[int]) -> list[int]:
    """The indices in the order of a digest of the images' names."""

    def rank(index: int) -> tuple[bytes, int]:
        name = images[index].name.encode(errors="surrogatepass")
        return hashlib.sha256(name).digest(), images[index].id

    return sorted(indices, key=rank)


def _part(dataset: Dataset, indices: Sequence[int], which: str) -> Dataset:
    """The images at these indices; annotations that a reader left out count for the whole."""
    read = dataset.read_image
    return replace(
        dataset,
        title=f"{dataset.title}, {which} images",
        images=tuple(dataset.images[index] for index in indices),
        read_image=ImageFiles(
            tuple(read.paths[index] for index in indices),
            tuple(read.sizes[index] for index in indices),
        )
        if isinstance(read, ImageFiles)
        else _Chosen(dataset, tuple(indices)),
    )
