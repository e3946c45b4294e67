"""A part of the training images that is held out, to choose settings by without the val images."""

from __future__ import annotations

from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.data.load import load
from sobench.data.subset import divided, limited
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
