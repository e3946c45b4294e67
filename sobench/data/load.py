"""From the ``dataset`` of a suite to a split in memory, and to a fingerprint of what is on disk."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from sobench.data.annotations import Split
from sobench.data.dataset import Dataset
from sobench.data.formats import coco, tt100k, visdrone, voc, yolo
from sobench.data.images import ImageFiles, list_images
from sobench.errors import DataError
from sobench.suite.datasets import DataSpec, FileData

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def expand_root(root: str) -> Path:
    """The folder that ``root`` names, with ``${VAR}``, ``$VAR`` and ``~`` replaced.

    Raises:
        DataError: a variable is not set, or there is no such folder.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise DataError(
                f"dataset.root: {root} needs the variable {name}, which is not set; "
                f"export {name}=FOLDER or --set dataset.root=FOLDER"
            )
        return os.environ[name]

    folder = Path(os.path.expanduser(_VARIABLE.sub(value, root)))  # noqa: PTH111
    if not folder.is_dir():
        origin = "" if str(folder) == root else f" (from {root})"
        raise DataError(
            f"dataset.root: no folder {folder}{origin}; put the dataset there or "
            "--set dataset.root=FOLDER"
        )
    return folder


def load(spec: DataSpec, split: Split) -> Dataset:
    """Read a split and check that it can be used: images exist, and training has objects.

    Raises:
        DataError: the dataset is missing, broken or empty.
    """
    dataset = read_annotations(spec, split)
    check_images(dataset)
    if split == "train" and not any(len(image.boxes) for image in dataset.images):
        left_out = f" ({len(dataset.skipped)} rows were left out)" if dataset.skipped else ""
        raise DataError(
            f"{dataset.title}: the training split has no boxes at all{left_out}; "
            "check dataset.train and its annotations"
        )
    return dataset


def read_annotations(spec: DataSpec, split: Split) -> Dataset:
    """Read the annotations of a split; image files may be missing where sizes are known without.

    Raises:
        DataError: an annotation is missing or broken.
    """
    if spec.format == "synthetic":
        from sobench.data.synthetic import scenes as synthetic

        return synthetic.read(spec, split)
    root = expand_root(spec.root)
    match spec.format:
        case "coco":
            return coco.read(root, spec, split)
        case "visdrone":
            return visdrone.read(root, spec, split)
        case "voc":
            return voc.read(root, spec, split)
        case "yolo":
            return yolo.read(root, spec, split)
        case "tt100k":
            return tt100k.read(root, spec, split)


def check_images(dataset: Dataset) -> None:
    """Check that every image file of a dataset exists.

    Raises:
        DataError: naming the first one that does not, and how many do not.
    """
    if not isinstance(dataset.read_image, ImageFiles):
        return
    # The dataset may be the first images of a longer one.
    paths = dataset.read_image.paths[: len(dataset.images)]
    missing = [index for index, path in enumerate(paths) if not path.is_file()]
    if not missing:
        return
    path, image = paths[missing[0]], dataset.images[missing[0]]
    what = "image file" if path.parent.is_dir() else "image folder for the file"
    raise DataError(
        f"{dataset.title}: no {what} {path} (image id {image.id}; {len(missing)} of {len(paths)} "
        "are missing); put them back, correct the dataset's image folder, or remove their rows"
    )


def fingerprint(spec: DataSpec) -> str:
    """12 hexadecimal digits that change with the annotations, the image files or the classes.

    Covers the format, the class names where they stand apart from the annotations, the limit of a
    subset of small objects, and for each split the content of the annotation files and the names
    and byte sizes of the image files; never the place of the dataset on this machine.

    Raises:
        DataError: a file or folder is missing.
    """
    if spec.format == "synthetic":
        from sobench.data.synthetic import scenes as synthetic

        return synthetic.fingerprint(spec)
    root = expand_root(spec.root)
    digest = hashlib.sha256()
    for part in _content(root, spec):
        # The length keeps neighbours apart: "ab" + "c" is not "a" + "bc".
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()[:12]


def _content(root: Path, spec: FileData) -> Iterator[bytes]:
    yield spec.format.encode()
    if spec.format == "coco" and spec.max_area is not None:
        # Pixels are cached by fingerprint and number of images: a subset of equal size is another.
        yield f"max_area {spec.max_area!r}".encode()
    for name in _class_override(root, spec):
        yield name.encode()
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        yield split.encode()
        files, images = _sources(root, spec, split)
        for file in files:
            yield _relative(file, root).encode()
            yield _bytes(file)
        for place in images:
            yield from _image_files(place)


def _class_override(root: Path, spec: FileData) -> tuple[str, ...]:
    if spec.format == "voc":
        return spec.classes or ()
    if spec.format == "tt100k":
        return (spec.classes,) if spec.classes == "all" else spec.classes or ()
    if spec.format == "yolo":
        return tuple(f"{number} {name}" for number, name in yolo.class_names(root).items())
    return ()


def _sources(root: Path, spec: FileData, split: Split) -> tuple[list[Path], list[Path]]:
    match spec.format:
        case "coco":
            return coco.sources(root, spec, split)
        case "visdrone":
            return visdrone.sources(root, spec, split)
        case "voc":
            return voc.sources(root, spec, split)
        case "yolo":
            return yolo.sources(root, spec, split)
        case "tt100k":
            return tt100k.sources(root, spec, split)


def _relative(file: Path, root: Path) -> str:
    # A plain prefix first: relpath alone takes longer than reading thousands of small files.
    name = str(file).removeprefix(f"{root}/")
    return os.path.relpath(file, root) if name.startswith("/") else name


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(
            f"{file}: the annotation file cannot be read ({error.strerror}); "
            "put it back or correct the dataset's root and split"
        ) from None


def _image_files(place: Path) -> Iterator[bytes]:
    """Name and byte size of an image file, or of all below a folder."""
    if place.is_file():
        yield f"{place.name} {place.stat().st_size}".encode()
        return
    for name in list_images(place):
        yield f"{name} {os.stat(f'{place}/{name}').st_size}".encode()  # noqa: PTH116
