"""The ``data.yaml`` of a YOLO dataset: its classes, and where the images of a split are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sobench.data.annotation_files import LARGEST_ID, is_number, read_rows, shown
from sobench.data.annotations import Split, check_class_names, check_inside, is_inside
from sobench.data.image_lists import SUFFIXES, list_images
from sobench.errors import DataError, did_you_mean
from sobench.suite.datasets import YoloData
from sobench.text import plain
from sobench.yaml_text import UnreadableYaml, read_yaml_file

_LONGEST = 600
"""Characters of what a message repeats of the file."""


@dataclass(frozen=True)
class ImageSource:
    """Images of a split: those in a folder, or those that a text file lists.

    Attributes:
        folder: the folder of the images, or of the list.
        names: the image files, relative to ``folder`` or absolute.
        list_file: the text file that lists the images, ``None`` for a folder.
    """

    folder: Path
    names: tuple[str, ...]
    list_file: Path | None


def class_names(root: Path, spec: YoloData) -> dict[int, str]:
    """Class id -> name from ``data.yaml``, by rising id.

    Raises:
        DataError: the file is missing or its ``names`` are not a list or mapping of texts.
    """
    file = root / spec.config
    return _names(_config(file), file)


def image_sources(root: Path, spec: YoloData, split: Split) -> list[ImageSource]:
    """The folders and lists of images of a split, as ``data.yaml`` names them.

    Raises:
        DataError: one is missing or malformed, or outside of ``root`` without permission.
    """
    file = root / spec.config
    config = _config(file)
    key = spec.train if split == "train" else spec.val
    entries = config.get(key)
    if entries is None:
        split_names = [str(name) for name in config if name not in ("path", "names", "nc")]
        raise DataError(
            f"{file}: has no key {shown(key)}, add it or correct dataset.{split};"
            f"{did_you_mean(key, split_names)}"
        )
    parts = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, str):
            raise DataError(
                f"{file}: {key} holds {shown(entry)}; write a folder or a list of folders"
            )
        path = _locate(root, spec, config, entry, key)
        if path.is_dir():
            parts.append(ImageSource(path, tuple(list_images(path)), None))
        else:
            parts.append(_listed(path, root, spec))
    return parts


def _config(file: Path) -> dict[str, Any]:
    try:
        content = read_yaml_file(file)
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; correct dataset.root or write one") from None
    except UnreadableYaml as error:
        raise DataError(f"{file}: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{file}: has no keys; write train, val and names")
    return content


def _names(config: Mapping[str, Any], file: Path) -> dict[int, str]:
    names = config.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise DataError(f"{file}: names is {shown(names)}; write a list of class names")
    classes: dict[int, str] = {}
    for number, name in names.items():
        if type(number) is not int or not 0 <= number <= LARGEST_ID:
            raise DataError(
                f"{file}: names has the key {shown(number)}; write class ids 0, 1, 2, ..."
            )
        # YAML reads yes, no, on and off as true and false, which were meant as names.
        if not isinstance(name, str) and not is_number(name):
            raise DataError(
                f"{file}: names has {shown(name)} as class {number}; write a text, in quotes if "
                "YAML takes it for something else"
            )
        classes[number] = str(name)
    check_class_names(classes.values(), f"{file}, names")
    count = config.get("nc", len(classes))
    if count != len(classes):
        raise DataError(
            f"{file}: nc is {shown(count)}, but names has {len(classes)} classes; "
            "correct one of them"
        )
    return dict(sorted(classes.items()))


def _locate(root: Path, spec: YoloData, config: Mapping[str, Any], entry: str, key: str) -> Path:
    """The folder or list that an entry names.

    Published files often have a ``path`` of their author's machine, or a ``../`` that leaves the
    dataset, so the folder of ``data.yaml`` is tried as well, and what is inside of it goes first.
    """
    file, base = root / spec.config, config.get("path") or ""
    if not isinstance(base, str):
        raise DataError(f"{file}: path is {shown(base)}; write a folder or leave it out")
    names = [str(Path(base) / entry), entry, entry.removeprefix("../")]
    found = [name for name in names if os.path.exists(root / name)]  # noqa: PTH110
    if not found:
        places = ", ".join(dict.fromkeys(str(root / name) for name in names))
        tried = plain(places, _LONGEST)
        raise DataError(f"{file}: {key} is {shown(entry)}, found at none of {tried}; correct it")
    name = next((name for name in found if is_inside(name, root, [root])), found[0])
    check_inside(name, root, _allowed(root, spec), f"{file}: {key}")
    return root / name


def _allowed(root: Path, spec: YoloData) -> tuple[Path, ...]:
    return () if spec.outside_root else (root,)


def _listed(file: Path, root: Path, spec: YoloData) -> ImageSource:
    """The images that a text file lists, relative to that file or to ``root``, or absolute."""
    if file.suffix != ".txt":
        raise DataError(
            f"{file}: is neither a folder nor a .txt list of images; correct {spec.config}"
        )
    names = []
    for number, name in read_rows(file):
        if not name.lower().endswith(SUFFIXES):
            raise DataError(
                f"{file}, row {number}: {shown(name)} is not an image file; correct or remove it"
            )
        folders = (file.parent, root)
        folder = next((folder for folder in folders if os.path.isfile(folder / name)), None)  # noqa: PTH113
        if folder is None:
            place = plain(file.parent / name, _LONGEST)
            raise DataError(
                f"{file}, row {number}: no image file {place}; put it back or remove the row"
            )
        check_inside(name, folder, _allowed(root, spec), f"{file}, row {number}")
        names.append(str(folder / name))
    return ImageSource(file.parent, tuple(names), file)
