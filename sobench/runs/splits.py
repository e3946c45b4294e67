"""The images that a run trains on and is scored on; needs no torch."""

from __future__ import annotations

from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.data.fingerprint import BOTH, check_unchanged
from sobench.data.holdout import load_part
from sobench.data.subset import part_name
from sobench.suite.plan import Run


def load_split(run: Run, split: Split) -> Dataset:
    """The images of a run; the held-out training images stand for the val split of a trial.

    Runs of one process share what one of them has read, as long as they are planned for the same
    state of the data; ``check_data_unchanged`` tells whether it still is that.

    What is trained on has ignore regions only if the suite leaves these out; what is scored on has
    them in any case.

    Raises:
        DataError: the dataset is missing, broken or empty.
    """
    dataset = load_part(run.suite.dataset, split, run.limit, run.holdout, run.data)
    if split == "train" and not run.suite.ignore_regions:
        return dataset.without_ignore_regions()
    return dataset


def cache_name(run: Run, split: Split) -> str:
    """The name of these images in the image cache."""
    return part_name(split, run.limit, run.holdout)


def splits_read(run: Run) -> tuple[Split, ...]:
    """The splits that a run reads: a trial, which chooses settings, keeps away from val."""
    return ("train",) if run.holdout else BOTH


def check_data_unchanged(run: Run) -> None:
    """Check that the data still are those that the run was planned for, after reading from them.

    Raises:
        DataError: their fingerprint is another one now.
    """
    check_unchanged(run.suite.dataset, run.data, splits_read(run))
