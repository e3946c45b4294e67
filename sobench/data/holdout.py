"""A part of the training images that is held out, to choose settings by without the val images."""

from __future__ import annotations

from typing import Any

from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.data.fingerprint import BOTH, fingerprint
from sobench.data.load import load
from sobench.data.subset import divided, limited
from sobench.suite.datasets import DataSpec
from sobench.suite.limit import Limit

_MOST_KEPT = 4
"""Parts that stay in memory, such as the two splits of a suite and of its smoke test."""

_kept: dict[tuple[Any, ...], Dataset] = {}
"""What this process has read, while the fingerprint was the same."""


def load_part(
    spec: DataSpec, split: Split, limit: Limit = None, holdout: float = 0.0, data: str = ""
) -> Dataset:
    """What a run trains on or is scored on: a split, or with ``holdout`` a part of the train split.

    With ``holdout`` the val split is not read: that share of the training images stands for it.

    Args:
        limit: the images of the split that is read that are used, or ``None`` for all.
        holdout: share of the training images that is held out; 0 holds out none.
        data: the fingerprint that the caller checks the dataset by, of the splits that are read;
            what was read under it before is not read again. Without it, all is read anew.

    Raises:
        DataError: the dataset is missing, broken or empty, or too small to be divided.
    """
    key = spec, split, limit, holdout, data
    if key in _kept:
        return _kept[key]
    dataset = _read(spec, split, limit, holdout)
    # Files that change while they are read must not be taken for those of the fingerprint.
    if data and fingerprint(spec, splits=("train",) if holdout else BOTH) == data:
        if len(_kept) >= _MOST_KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = dataset
    return dataset


def _read(spec: DataSpec, split: Split, limit: Limit, holdout: float) -> Dataset:
    if not holdout:
        return limited(load(spec, split), limit)
    return divided(limited(load(spec, "train"), limit), holdout)[0 if split == "train" else 1]
