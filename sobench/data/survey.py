"""What a data set is like, as far as a suite must fit it: its splits, images and objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sobench.data.check import checked_splits
from sobench.data.dataset import Dataset, FloatArray, Size
from sobench.data.load import load
from sobench.data.recognise import Layout
from sobench.data.statistics import objects
from sobench.text import plain

HOLDOUT = 0.2
"""Share of the images that is held out where there is one split."""

_FEW = 50
"""Scored images below which differences between methods are chance for the most part."""

_RARE = 0.01
"""Share of the objects below which a class does not decide how large the input must be."""


@dataclass(frozen=True)
class Survey:
    """A data set, measured.

    Attributes:
        section: the section ``dataset`` of a suite.
        train, val: the splits.
        splits: how the splits were chosen, in words.
        cautions: what is to be known before its results are believed.
    """

    section: dict[str, Any]
    train: Dataset
    val: Dataset
    splits: str
    cautions: tuple[str, ...]

    @property
    def image_size(self) -> Size:
        """Median height and width of the training images in pixels."""
        heights, widths = zip(*(image.size for image in self.train.images), strict=True)
        return int(np.median(heights)), int(np.median(widths))

    @property
    def has_one_shape(self) -> bool:
        """Whether nine of ten training images have about the aspect ratio of the median."""
        height, width = self.image_size
        ratios = [image.height / image.width for image in self.train.images]
        return float(np.mean(np.abs(np.log(ratios) - np.log(height / width)) < 0.1)) >= 0.9

    @property
    def sides(self) -> FloatArray:
        """``[N]`` square roots of the training objects' areas in pixels of the images."""
        return objects(self.train).sides

    @property
    def small_side(self) -> float:
        """Side in pixels of the smaller objects: of three in four objects, or of half of a class.

        The smallest counts of the lower quartile of all objects and the medians of the classes,
        but for rare ones.
        """
        sides, labels = self.sides, np.concatenate([image.labels for image in self.train.images])
        by_class = [sides[labels == label] for label in range(len(self.train.classes))]
        medians = [np.median(x) for x in by_class if len(x) > _RARE * len(sides)]
        return float(min([np.quantile(sides, 0.25), *medians]))


def survey(layout: Layout) -> Survey:
    """Read a recognised data set and check that it can be trained on and scored.

    Where there is one split, ``HOLDOUT`` of its images are held out; a single image with objects is
    both trained on and scored, which shows that everything runs and no more.

    Raises:
        DataError: the data are wrong; says what, and what to do.
    """
    one = len(layout.splits) == 1
    holdout = HOLDOUT if one else 0.0
    cautions = []
    if one:
        whole = load(layout.spec(), "train")
        if sum(len(image.boxes) > 0 for image in whole.images) < 2:
            holdout = 0.0
            cautions.append(
                "one image with objects is trained on and scored: this shows that everything runs, "
                "and nothing else"
            )
    spec = layout.spec(holdout)
    splits, warnings = checked_splits(spec, None)
    if len(splits["val"].images) < _FEW:
        count = len(splits["val"].images)
        many = "1 scored image is" if count == 1 else f"{count} scored images are"
        cautions.append(f"{many} too few to tell methods apart")
    return Survey(
        layout.section(holdout), splits["train"], splits["val"],
        _in_words(layout, holdout), (*cautions, *warnings),
    )  # fmt: skip


def _in_words(layout: Layout, holdout: float) -> str:
    names = [plain(name) for name in layout.splits.values()]
    rest = f" ({'; '.join(layout.notes)})" if layout.notes else ""
    if len(names) > 1:
        return f"train is {names[0]}, val is {names[1]}{rest}"
    if not holdout:
        return f"{names[0]} is the only split{rest}"
    return (
        f"{names[0]} is the only split{rest}; {100 * holdout:.0f} % of its images are held out to "
        "be scored, chosen by a digest of their names, the same ones every time"
    )
