"""A part of a split: the first images, some that represent all classes, or some held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray
from sobench.data.images import ImageFiles
from sobench.errors import DataError
from sobench.suite.limit import Limit, Representative


def limited(dataset: Dataset, limit: Limit) -> Dataset:
    """The images of a split that a run uses, in the order of the split."""
    if not isinstance(limit, Representative):
        return dataset.first(limit)
    if limit.images >= len(dataset.images):
        return dataset
    chosen = representative(dataset.images, len(dataset.classes), limit.images)
    return part(dataset, chosen, f"{len(chosen)} representative")


def representative(images: Sequence[AnnotatedImage], num_classes: int, number: int) -> list[int]:
    """Indices of images that stand for all: every class is there, in about its share of images.

    First every class that has objects gets an image, the rarest class first, of the images with it
    the one that has most of the classes still missing. Then classes are filled up to their share of
    images, again the rarest first, with images that have the fewest classes which are full already,
    and images without objects to theirs; then come any. Of images that are equally good, the one
    with the first digest of its name is taken, so that neither the order of the images nor the
    machine counts.

    Args:
        num_classes: of the data set.
        number: of images to choose, fewer than there are.

    Returns:
        Rising indices, ``number`` of them.
    """
    ranking = np.array(ranked(images, range(len(images))))
    # Rows in the order of the digests, so that the first of several is the one to take.
    holds = _holds(images, num_classes)[ranking]
    frequency = holds.sum(axis=0)
    rarest_first = [int(k) for k in np.argsort(frequency, kind="stable") if frequency[k]]
    chosen = np.zeros(len(images), dtype=bool)
    for label in rarest_first:
        missing = ~holds[chosen].any(axis=0)
        missing[num_classes] = False  # images without objects are no class
        if missing[label] and chosen.sum() < number:
            chosen[np.where(holds[:, label], holds[:, missing].sum(axis=1), -1).argmax()] = True
    shares = np.round(number * frequency / len(images)).astype(int)
    for label in rarest_first:
        has = holds[chosen].sum(axis=0)
        lacking = min(shares[label] - has[label], number - int(chosen.sum()))
        pool = np.flatnonzero(holds[:, label] & ~chosen)
        beyond = holds[pool][:, has >= shares].sum(axis=1)
        chosen[pool[beyond.argsort(kind="stable")][: max(0, lacking)]] = True
    chosen[np.flatnonzero(~chosen)[: number - int(chosen.sum())]] = True
    return sorted(int(index) for index in ranking[chosen])


def _holds(images: Sequence[AnnotatedImage], num_classes: int) -> NDArray[np.bool_]:
    """``[N, K + 1]``: whether an image has objects of a class, and last, whether it has none."""
    holds = np.zeros((len(images), num_classes + 1), dtype=bool)
    for row, image in zip(holds, images, strict=True):
        row[image.labels if len(image.labels) else num_classes] = True
    return holds


def ranked(images: Sequence[AnnotatedImage], indices: Sequence[int]) -> list[int]:
    """The indices in the order of a digest of the images' names."""

    def rank(index: int) -> tuple[bytes, int]:
        name = images[index].name.encode(errors="surrogatepass")
        return hashlib.sha256(name).digest(), images[index].id

    return sorted(indices, key=rank)


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
    held_out = {*ranked(dataset.images, with_objects)[:number]}
    held_out |= {*ranked(dataset.images, without)[: round(holdout * len(without))]}
    kept = [index for index in range(len(dataset.images)) if index not in held_out]
    return part(dataset, kept, "without the held-out"), part(dataset, sorted(held_out), "held-out")


def part(dataset: Dataset, indices: Sequence[int], which: str) -> Dataset:
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


@dataclass(frozen=True)
class _Chosen:
    """Some images of a dataset as the ``read_image`` of another; pickles as far as that does."""

    dataset: Dataset
    indices: tuple[int, ...]

    def __call__(self, index: int) -> ImageArray:
        return self.dataset.read_image(self.indices[index])


def part_name(split: str, limit: Limit, holdout: float = 0.0) -> str:
    """The name of these images in the image cache, which counts them besides."""
    chosen = f"-smoke-{limit.images}" if isinstance(limit, Representative) else ""
    return f"{split}{chosen}-of-{holdout:g}" if holdout else f"{split}{chosen}"
