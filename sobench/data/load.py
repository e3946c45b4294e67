"""From the ``dataset`` section of a suite to a split in memory."""

from __future__ import annotations

import os
from pathlib import Path

from sobench.data import synthetic
from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.data.formats import FORMATS
from sobench.data.image_lists import SUFFIXES, is_image_name
from sobench.data.images import ImageFiles
from sobench.data.subset import divided
from sobench.errors import DataError
from sobench.garbage import no_garbage_collection
from sobench.suite.datasets import DataSpec
from sobench.suite.limit import Limit, option
from sobench.suite.paths import expanded
from sobench.text import printable


def expand_root(root: str) -> Path:
    """The folder that ``root`` names, with ``${VAR}``, ``$VAR`` and ``~`` replaced.

    Raises:
        DataError: a variable is not set, or the folder does not exist.
    """
    try:
        folder = expanded(root)
    except KeyError as error:
        name = error.args[0]
        raise DataError(
            f"dataset.root: {root} needs the variable {name}, which is not set; "
            f"export {name}=FOLDER or --set dataset.root=FOLDER"
        ) from None
    if not folder.is_dir():
        # Not what a variable holds: that may be nobody's business.
        place = printable(root if "$" in root else str(folder))
        raise DataError(
            f"dataset.root: no folder {place}; put the dataset there, correct its variables or "
            "--set dataset.root=FOLDER"
        )
    return folder


def load(spec: DataSpec, split: Split) -> Dataset:
    """Read a split and check that it can be used: images exist, and training has objects.

    With ``holdout`` of the dataset both splits are parts of the train split.

    Raises:
        DataError: the dataset is missing, broken or empty.
    """
    share = 0 if spec.format == "synthetic" else spec.holdout
    dataset = read_annotations(spec, "train" if share else split)
    if share:
        dataset = divided(dataset, share)[0 if split == "train" else 1]
    check_images(dataset)
    if split == "train" and not any(len(image.boxes) for image in dataset.images):
        raise DataError(without_boxes(dataset, split))
    return dataset


def without_boxes(dataset: Dataset, name: Split, limit: Limit = None) -> str:
    """The message about a split, or the images of one that are used, in which is no object."""
    left_out = f" ({len(dataset.skipped)} rows were left out)" if dataset.skipped else ""
    if limit is not None:
        chosen = "first" if isinstance(limit, int) else "chosen"
        which = f"the {chosen} {len(dataset.images)} images of the {name} split"
        return f"{dataset.title}: {which} have no boxes at all{left_out}; raise {option(limit)}"
    return (
        f"{dataset.title}: the {name} split has no boxes at all{left_out}; "
        f"check dataset.{name} and its annotations"
    )


def read_annotations(spec: DataSpec, split: Split) -> Dataset:
    """Read the annotations of a split.

    Image files may be missing, unless the sizes of the images are known from them alone.

    Raises:
        DataError: an annotation is missing or broken.
    """
    if spec.format == "synthetic":
        return synthetic.read(spec, split)
    with no_garbage_collection():
        return FORMATS[spec.format].read(expand_root(spec.root), spec, split)


def check_images(dataset: Dataset) -> None:
    """Check that every image file of a dataset exists and is called as an image is.

    Raises:
        DataError: naming the first missing file and the number of missing files, or the first file
            of another name.
    """
    if not isinstance(dataset.read_image, ImageFiles):
        return
    # The dataset may be the first images of a longer one.
    paths = dataset.read_image.paths[: len(dataset.images)]
    # Unlike ``is_file`` of a path, this takes names that no file can have for missing files.
    missing = [index for index, path in enumerate(paths) if not os.path.isfile(path)]  # noqa: PTH113
    if missing:
        path, image = paths[missing[0]], dataset.images[missing[0]]
        absent = "image file" if path.parent.is_dir() else "image folder for the file"
        raise DataError(
            f"{dataset.title}: no {absent} {path} (image id {image.id}; {len(missing)} of "
            f"{len(paths)} are missing); put them back, correct the dataset's image folder, or "
            "remove their rows"
        )
    # The fingerprint does not cover them, so that their content could change unseen.
    others = (path for path in paths if not is_image_name(path.name))
    if other := next(others, None):
        raise DataError(
            f"{dataset.title}: {other} is not called as an image is; give it a name that ends in "
            f"one of {', '.join(SUFFIXES)}, and that does not begin with a dot"
        )
