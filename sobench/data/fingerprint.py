"""The fingerprint of a dataset: a short text that changes whenever the data do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sobench.data import synthetic
from sobench.data.annotations import Split
from sobench.data.formats import FORMATS
from sobench.data.hashes import file_digests, relative_name
from sobench.data.image_lists import list_images
from sobench.data.load import expand_root
from sobench.errors import DataError
from sobench.suite.datasets import DataSpec, FileData

BOTH: tuple[Split, ...] = ("train", "val")
"""The splits of a dataset."""


def fingerprint(
    spec: DataSpec,
    trust_mtime: bool = False,
    on_files: Callable[[int, int], None] | None = None,
    splits: Sequence[Split] = BOTH,
    most: tuple[int, int] | None = None,
) -> str:
    """12 hexadecimal digits that change with the annotations, the image files or the classes.

    They cover the format, its ``identity``, and for each split the names and the content of the
    annotation files and of the image files. They do not depend on the dataset's folder.

    Args:
        spec: the ``dataset`` section of a suite.
        trust_mtime: believe remembered digests of files by size and modification time alone.
        on_files: called with the number of files hashed and of all that need to be hashed.
        splits: those that count; no file of another one is read.
        most: the number and the bytes of new files that may be hashed; without it, any.

    Raises:
        DataError: a file or folder is missing or cannot be read.
        NewFiles: more would have to be hashed than ``most`` allows.
    """
    if spec.format == "synthetic":
        return synthetic.fingerprint(spec, splits)
    root = expand_root(spec.root)
    parts = list(_parts(root, spec, splits))
    files = [file for _, file in parts if file is not None]
    digests = file_digests(files, spec, root, trust_mtime=trust_mtime, on_files=on_files, most=most)
    whole = hashlib.sha256()
    for name, file in parts:
        content = b"" if file is None else digests[file].encode()
        for part in (name.encode(errors="surrogatepass"), content):
            # The length keeps neighbours apart: "ab" + "c" is not "a" + "bc".
            whole.update(b"%d:" % len(part))
            whole.update(part)
    return whole.hexdigest()[:12]


def check_unchanged(spec: DataSpec, expected: str, splits: Sequence[Split] = BOTH) -> None:
    """Check that a dataset still is what a command has begun with, after reading from it.

    Args:
        expected: its fingerprint then, of the same splits.

    Raises:
        DataError: its fingerprint is another one now.
    """
    now = fingerprint(spec, splits=splits)
    if now != expected:
        raise DataError(
            f"dataset: has changed since this command began (fingerprint {expected}, now {now}); "
            "run this again when it is complete"
        )


def _parts(
    root: Path, spec: FileData, splits: Sequence[Split]
) -> Iterator[tuple[str, Path | None]]:
    """Texts, and names with the file whose content counts."""
    layout = FORMATS[spec.format]
    yield spec.format, None
    for text in layout.identity(root, spec):
        yield text, None
    if spec.holdout:  # one split, of which each has a part
        yield f"holdout {spec.holdout!r}", None
        splits = ("train",)
    for split in splits:
        yield split, None
        annotation_files, image_sources = layout.sources(root, spec, split)
        for file in annotation_files:
            yield relative_name(file, root), file
        for source in image_sources:
            if source.is_file():
                yield source.name, source
            else:
                for name in list_images(source):
                    yield name, source / name
