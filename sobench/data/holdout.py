"""A part of the training images that is held out, to choose settings by without the val images."""

from __future__ import annotations

from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.data.load import load
from sobench.data.subset import limited, part, ranked
from sobench.errors import DataError
from sobench.suite.datasets import DataSpec
from sobench.suite.limit import Limit


def load_part(spec: DataSpec, split: Split, limit: Limit = None, holdout: float = 0.0) -> Dataset:
    """What a run trains on or is scored on: a split, or with ``holdout`` a part of the train split.

    With ``holdout`` the val split is not read: that share of the training images stands for it.

    Args:
        limit: the images of the split that is read that are used, or ``None`` for all.
        holdout: share of the training images that is held out; 0 holds out none.

    Raises:
        DataError: the dataset is missing, broken or empty, or too small to be divided.
    """
    if not holdout:
        return limited(load(spec, split), limit)
    return divided(limited(load(spec, "train"), limit), holdout)[0 if split == "train" else 1]


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
