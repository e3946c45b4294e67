"""The checks before training: what only scoring would refuse, and what makes scores worthless."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sobench.data.annotations import REPEATED, Split
from sobench.data.dataset import Dataset
from sobench.data.each_image import each_image
from sobench.data.formats.coco import SAME_ID
from sobench.data.hashes import file_digests
from sobench.data.holdout import load_part
from sobench.data.images import ImageFiles, count_deep
from sobench.data.load import expand_root, without_boxes
from sobench.errors import DataError
from sobench.suite.datasets import DataSpec
from sobench.suite.limit import Limit
from sobench.text import plain

SPLITS: tuple[Split, Split] = ("train", "val")

WARNED = (REPEATED, SAME_ID)
"""Notes of the readers that are warnings."""

_NAMED = 3
"""Images that a warning names."""


def checked_splits(
    spec: DataSpec, limit: Limit, holdout: float = 0.0, data: str = ""
) -> tuple[Mapping[Split, Dataset], Sequence[str]]:
    """Both splits, fit for training and scoring, and warnings about them.

    The warnings are of images that are in both splits, by their content; of classes that only one
    split has objects of; of annotations that are repeated; and of images whose pixels are scaled or
    cut to 8 bits.

    Args:
        spec: the ``dataset`` section of a suite.
        limit: the images of each split that are used, or ``None`` for all.
        holdout, data: share of the training images that stands for the val split, and the
            fingerprint under which splits are read once; see ``load_part``.

    Raises:
        DataError: a split is missing, broken or has no boxes, or the two do not fit together.
    """
    splits = {name: load_part(spec, name, limit, holdout, data) for name in SPLITS}
    check_splits(splits["train"], splits["val"])
    for name, dataset in splits.items():
        if not any(len(image.boxes) for image in dataset.images):
            raise DataError(without_boxes(dataset, name, limit))
    return splits, list(_warnings(spec, splits, "held-out" if holdout else "val"))


def check_splits(train: Dataset, val: Dataset) -> None:
    """Check that what is trained on one split can be scored on the other.

    Raises:
        DataError: the classes differ, or two images have one id.
    """
    if train.classes != val.classes:
        raise DataError(
            f"dataset: the classes of train and val differ: {_named(train.classes, 20)} against "
            f"{_named(val.classes, 20)}; annotate both with one list"
        )
    for dataset in (train, val):
        if len({image.id for image in dataset.images}) < len(dataset.images):
            raise DataError(f"{dataset.title}: two images have one id; number the images anew")


def _warnings(spec: DataSpec, splits: Mapping[Split, Dataset], scored: str) -> Iterator[str]:
    """Warnings in which the images that are scored go by the name ``scored``."""
    paths = {name: _paths(dataset) for name, dataset in splits.items()}
    if spec.format != "synthetic":
        files = [*paths["train"], *paths["val"]]
        digests = file_digests(files, spec, expand_root(spec.root))
        trained = {digests[path] for path in paths["train"]}
        shared = [path for path in paths["val"] if digests[path] in trained]
        if shared:
            names = _named([path.name for path in shared], _NAMED)
            yield (
                f"{scored}: {len(shared)} of its {len(paths['val'])} images are in train as well, "
                f"by their content ({names}); scores on them say nothing about new images"
            )
        yield from _lacking(splits, scored)
    for name, dataset in splits.items():
        title = scored if name == "val" else name
        for note, count in (dataset.notes or Counter()).items():
            if note in WARNED:
                yield f"{title}: {count} {note}"
        for note, count in count_deep(paths[name]).items():
            yield f"{title}: {count} {note}"


def _lacking(splits: Mapping[Split, Dataset], scored: str) -> Iterator[str]:
    """Warnings of classes that one split has objects of and the other has not."""
    classes = splits["train"].classes
    train, val = (
        {label for image in splits[name].images for label in image.labels.tolist()}
        for name in SPLITS
    )
    if unlearnt := [classes[label] for label in sorted(val - train)]:
        yield (
            f"{scored}: has objects of {len(unlearnt)} of {len(classes)} classes "
            f"({_named(unlearnt, _NAMED)}) that no training image has, so nothing can find them"
        )
    if unscored := [classes[label] for label in sorted(train - val)]:
        yield (
            f"{scored}: has no objects of {len(unscored)} of {len(classes)} classes "
            f"({_named(unscored, _NAMED)}), which have no AP and are left out of the mean"
        )


def broken_images(
    dataset: Dataset, callback: Callable[[int, int], None] | None = None
) -> list[str]:
    """The images of a dataset that cannot be read, each with the reason; decodes all of them.

    Args:
        callback: called with the number of images done and of all images, after each image.
    """

    def problem(index: int) -> str:
        try:
            dataset.read_image(index)
        except DataError as error:
            return str(error)
        return ""

    broken = []
    with each_image(problem, dataset) as problems:
        for done, text in enumerate(problems, 1):
            broken += [text] if text else []
            if callback is not None:
                callback(done, len(dataset.images))
    return broken


def _paths(dataset: Dataset) -> tuple[Path, ...]:
    """The image files of a dataset that has some."""
    files = dataset.read_image
    return files.paths[: len(dataset.images)] if isinstance(files, ImageFiles) else ()


def _named(names: Sequence[str], count: int) -> str:
    text = ", ".join(plain(name) for name in names[:count])
    return f"{text}, ..." if len(names) > count else text
