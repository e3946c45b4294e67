"""The fingerprint of a dataset: a short text that changes whenever the data do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from sobench.data import synthetic
from sobench.data.annotations import Split
from sobench.data.formats import FORMATS
from sobench.data.images import list_images
from sobench.data.load import expand_root
from sobench.errors import DataError
from sobench.suite.datasets import DataSpec, FileData


def fingerprint(spec: DataSpec) -> str:
    """12 hexadecimal digits that change with the annotations, the image files or the classes.

    They cover the format, its ``identity``, and for each split the content of the annotation files
    and the names and byte sizes of the image files. They do not depend on the dataset's folder.

    Raises:
        DataError: a file or folder is missing.
    """
    if spec.format == "synthetic":
        return synthetic.fingerprint(spec)
    digest = hashlib.sha256()
    for part in _content(expand_root(spec.root), spec):
        # The length keeps neighbours apart: "ab" + "c" is not "a" + "bc".
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()[:12]


def _content(root: Path, spec: FileData) -> Iterator[bytes]:
    layout = FORMATS[spec.format]
    yield spec.format.encode()
    for text in layout.identity(root, spec):
        yield text.encode()
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        yield split.encode()
        annotation_files, image_sources = layout.sources(root, spec, split)
        for file in annotation_files:
            yield _relative(file, root).encode()
            yield _bytes(file)
        for source in image_sources:
            yield from _image_files(source)


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


def _image_files(source: Path) -> Iterator[bytes]:
    """Name and byte size of an image file, or of every image file below a folder."""
    if source.is_file():
        yield f"{source.name} {source.stat().st_size}".encode()
        return
    for name in list_images(source):
        yield f"{name} {os.stat(f'{source}/{name}').st_size}".encode()  # noqa: PTH116
