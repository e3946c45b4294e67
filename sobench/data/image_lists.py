"""The image files of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from sobench.errors import DataError
from sobench.regular_files import is_of_the_system

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def is_image_name(name: str) -> bool:
    """Whether a file is taken for an image; what begins with a dot is another program's."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def list_images(folder: Path) -> list[str]:
    """Names of the image files below ``folder``, relative to it, with ``/``, sorted.

    Raises:
        DataError: the folder does not exist, or what is called an image is a pipe or broken link.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such image folder; correct the dataset's root or split")
    names: list[str] = []
    _list_below(folder, "", names, set())
    return sorted(names)


def _list_below(folder: Path, prefix: str, names: list[str], visited: set[tuple[int, int]]) -> None:
    """Add the images below ``folder``; a folder that links lead to again is entered once."""
    status = folder.stat()
    if is_of_the_system(status):
        raise DataError(f"{folder}: is a folder of the system; remove the link that leads there")
    if (status.st_dev, status.st_ino) in visited:
        return
    visited.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as found:
        # Real folders before links to them, and in one order everywhere.
        entries = sorted(found, key=lambda entry: (entry.is_symlink(), entry.name))
    for entry in entries:
        if entry.is_dir():
            _list_below(folder / entry.name, f"{prefix}{entry.name}/", names, visited)
        elif is_image_name(entry.name):
            if not entry.is_file():
                raise DataError(f"{entry.path}: is not a file, or a broken link; remove it")
            names.append(prefix + entry.name)
