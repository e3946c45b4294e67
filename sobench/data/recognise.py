"""The layout of a folder of images and annotations, found out from its files."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sobench.data.annotation_files import read_json, read_rows
from sobench.data.annotations import Split
from sobench.data.formats import tt100k, visdrone, voc
from sobench.data.image_lists import is_image_name
from sobench.errors import DataError, RequestError, did_you_mean
from sobench.suite.datasets import DATASETS, DataSpec
from sobench.text import plain
from sobench.yaml_text import UnreadableYaml, read_yaml_file

_DEEPEST = 3
"""Folders below the one that is given which are looked into."""

_MOST_FOLDERS = 5000
_MOST_JSON = 50
"""JSON files of a folder that are opened; where there are more, each may be of one image."""

_DEFAULT_IMAGES = "images"
"""Folder of COCO's images that need not be named."""

_NAMES: dict[str, tuple[str, ...]] = {
    "trainval": ("trainval",),
    "train": ("train", "training"),
    "test": ("test", "testing"),  # before val, for VisDrone2019-DET-test-dev
    "val": ("val", "valid", "validation", "eval", "dev"),
}
"""What the names of a split's files have in them."""


@dataclass(frozen=True)
class Layout:
    """A data set that was recognised.

    Attributes:
        format: of ``dataset.format``.
        root: the folder that its files are named from; for YOLO the file with the class names.
        splits: the name of each split that is there. What is called a test split counts as val
            where nothing else does.
        settings: split -> its further keys of the section ``dataset``, such as ``images``.
        shared: keys of the section that concern both splits.
        notes: what was chosen among several, or left aside.
    """

    format: str
    root: Path
    splits: Mapping[Split, str]
    settings: Mapping[Split, Mapping[str, str]] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def section(self, holdout: float = 0.0) -> dict[str, Any]:
        """The section ``dataset`` of a suite; its ``root`` is as it was given.

        Args:
            holdout: share of the images that stands for val where there is one split; with 0 the
                one split is both.
        """
        section: dict[str, Any] = {"format": self.format, "root": str(self.root)}
        (only, *others) = self.splits
        for split in ("train", "val"):
            source: Split = split if split in self.splits else only
            section[split] = self.splits[source]
            for key, value in self.settings.get(source, {}).items():
                section[f"{split}_{key}"] = value
        section |= self.shared
        if holdout and not others:
            kept = {k: v for k, v in section.items() if k != "val" and not k.startswith("val_")}
            return kept | {"holdout": holdout}
        return section

    def spec(self, holdout: float = 0.0) -> DataSpec:
        """The section ``dataset``, checked."""
        spec: DataSpec = TypeAdapter(DataSpec).validate_python(self.section(holdout))
        return spec


def recognise(folder: Path, dataset_format: str = "") -> Layout:
    """The layout of a folder, or of the only folder below it that has one.

    Args:
        folder: or a ``data.yaml`` of YOLO.
        dataset_format: the one that is meant where a folder has several; empty for any.

    Raises:
        DataError: the folder does not exist, has no layout, or several; or the file that would tell
            is broken. The message says what was found and what to do.
        RequestError: there is no such format.
    """
    if dataset_format and dataset_format not in _FINDERS:
        raise RequestError(
            f"--format: unknown {plain(dataset_format)!r};{did_you_mean(dataset_format, _FINDERS)}"
        )
    if folder.is_file() and folder.suffix.lower() in (".yaml", ".yml"):
        try:
            layout = _yolo_of(folder)
        except UnreadableYaml as error:
            raise DataError(f"{folder}: {error}") from None
        if layout is None:
            raise DataError(
                f"{folder}: has no names of classes with train or val; give a data.yaml"
            )
        return layout
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one that holds images and annotations")
    names = [dataset_format] if dataset_format else [*_FINDERS]
    broken: list[DataError] = []
    for level in _levels(folder):
        layouts = []
        for below in map(_Folder, level):
            found = (_FINDERS[name](below) for name in names)
            layouts += [layout for layout in found if layout is not None]
            broken += below.broken
        if len(layouts) > 1:
            raise DataError(_several(folder, layouts))
        if layouts:
            return layouts[0]
    raise broken[0] if broken else DataError(_nothing(folder, names))


class _Folder:
    """A folder that is looked at, whose files are read once for all layouts.

    Attributes:
        folders, files: what is in it, sorted, without what begins with a dot.
        broken: what is wrong with files that could have told the layout.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken: list[DataError] = []
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); give it rights") from None
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        self.folders = [path / entry.name for entry in visible if entry.is_dir()]
        self.files = [path / entry.name for entry in visible if entry.is_file()]

    @cached_property
    def json(self) -> dict[Path, dict[str, Any]]:
        """The JSON files in it, or in its folders of annotations and splits, that are mappings."""
        folders = [
            _Folder(f) for f in self.folders if "annotation" in f.name.lower() or _kind(f.name)
        ]
        found: dict[Path, dict[str, Any]] = {}
        for files in (self.files, *(below.files for below in folders)):
            of_json = [file for file in files if file.suffix.lower() == ".json"]
            if any("instances" in file.name for file in of_json):  # beside captions and keypoints
                of_json = [file for file in of_json if "instances" in file.name]
            for file in of_json if len(of_json) <= _MOST_JSON else ():
                try:
                    content = read_json(file, "the folder")
                except DataError as error:
                    self.broken.append(error)
                    continue
                if isinstance(content, dict):
                    found[file] = content
        return found


def _levels(folder: Path) -> Iterable[list[Path]]:
    """The folder, then those below it, level by level."""
    level = [folder]
    for _ in range(_DEEPEST):
        yield level
        level = [below for path in level for below in _Folder(path).folders][:_MOST_FOLDERS]


def _coco(folder: _Folder) -> Layout | None:
    keys = ("images", "annotations", "categories")
    files = {
        str(file.relative_to(folder.path)): content
        for file, content in folder.json.items()
        if all(isinstance(content.get(key), list) for key in keys)
    }
    if not files:
        return None
    splits, notes = _splits(files, folder.path)
    settings = {
        split: {"images": _image_folder(folder.path, name, files[name]["images"])}
        for split, name in splits.items()
    }
    if all(keys["images"] == _DEFAULT_IMAGES for keys in settings.values()):
        settings = {}
    return Layout("coco", folder.path, splits, settings, notes=notes)


def _image_folder(root: Path, file: str, entries: list[Any]) -> str:
    """The folder below ``root``, relative to it, that holds the images of an annotation file.

    The reader's default if there is none: whether the images matter is not known here.
    """
    names = [entry.get("file_name") for entry in entries[:20] if isinstance(entry, dict)]
    texts = [name for name in names if isinstance(name, str) and "\0" not in name]
    kind = _kind(file)

    def rank(folder: Path) -> tuple[bool, bool, int, str]:
        """First folders of this split, then of none; the highest of them, by name."""
        other = _kind(str(folder.relative_to(root)))
        return other not in ("", kind), other == "", len(folder.parts), str(folder)

    folders = [path for level in _levels(root) for path in level]
    for folder in sorted(folders, key=rank):
        if texts and all(os.path.isfile(folder / text) for text in texts):  # noqa: PTH113
            return folder.relative_to(root).as_posix()
    return _DEFAULT_IMAGES


def _yolo(folder: _Folder) -> Layout | None:
    layouts = []
    for file in folder.files:
        if file.suffix.lower() in (".yaml", ".yml"):
            try:
                layout = _yolo_of(file)
            except UnreadableYaml as error:
                folder.broken.append(DataError(f"{file}: {error}"))
                continue
            layouts += [layout] if layout else []
    if len(layouts) > 1:
        names = ", ".join(str(layout.root) for layout in layouts)
        raise DataError(f"{folder.path}: has several files of classes: {names}; give one of them")
    return layouts[0] if layouts else None


def _yolo_of(file: Path) -> Layout | None:
    """The layout that a YAML file names; ``None`` if it is of something else.

    Raises:
        UnreadableYaml: it is not YAML.
    """
    content = read_yaml_file(file)
    if not isinstance(content, dict) or "names" not in content:
        return None
    given = [key for key, value in content.items() if value and key not in ("names", "nc", "path")]
    if not any(_kind(str(key)) for key in given):
        return None
    splits, notes = _splits([str(key) for key in given if _kind(str(key))], file)
    return Layout("yolo", file, splits, notes=notes)


def _voc(folder: _Folder) -> Layout | None:
    annotations, sets = folder.path / "Annotations", folder.path / "ImageSets" / "Main"
    if not annotations.is_dir() or not any(annotations.glob("*.xml")):
        return None
    names = sorted(file.stem for file in sets.glob("*.txt"))
    # Beside them the twelve of VOC have a list for every class.
    whole = [name for name in names if name in (*_NAMES, *(n for v in _NAMES.values() for n in v))]
    if not names:
        raise DataError(
            f"{sets}: has no lists of images; write train.txt and val.txt there, with the names "
            "of annotation files without .xml, one a row"
        )
    splits, notes = _splits(whole or names, sets)
    classes = voc.class_names(annotations)
    shared = {} if {*classes} == {*voc.CLASSES} else {"classes": list(classes)}
    return Layout("voc", folder.path, splits, shared=shared, notes=notes)


def _visdrone(folder: _Folder) -> Layout | None:
    root, names = folder.path, [path.name for path in folder.folders if _is_visdrone(path)]
    if not names:
        if not _is_visdrone(root):
            return None
        root, names = root.absolute().parent, [root.absolute().name]
    splits, notes = _splits(names, root)
    return Layout("visdrone", root, splits, notes=notes)


def _is_visdrone(split: Path) -> bool:
    annotations = split / "annotations"
    if not (split / "images").is_dir() or not annotations.is_dir():
        return False
    for file in sorted(annotations.glob("*.txt"))[:20]:
        for _, row in read_rows(file)[:1]:
            return len(row.removesuffix(",").split(",")) == len(visdrone.COLUMNS)
    return False


def _tt100k(folder: _Folder) -> Layout | None:
    files = {
        file: content
        for file, content in folder.json.items()
        if isinstance(content.get("imgs"), dict) and isinstance(content.get("types"), list)
    }
    if not files:
        return None
    if len(files) > 1:
        several = ", ".join(map(str, files))
        raise DataError(f"{folder.path}: has several files of TT100K: {several}; keep one there")
    ((file, content),) = files.items()
    paths = [str(entry.get("path")) for entry in content["imgs"].values() if entry]
    used = {path.partition("/")[0] for path in paths}
    names = [path.name for path in folder.folders if path.name in used and _kind(path.name)]
    splits, notes = _splits(names, file)
    name = str(file.relative_to(folder.path))
    shared: dict[str, Any] = {} if name == "annotations.json" else {"annotations": name}
    if not {*tt100k.CLASSES} <= {*content["types"]}:
        shared["classes"] = "all"
    return Layout("tt100k", folder.path, splits, shared=shared, notes=notes)


_FINDERS: dict[str, Callable[[_Folder], Layout | None]] = {
    "coco": _coco,
    "yolo": _yolo,
    "voc": _voc,
    "visdrone": _visdrone,
    "tt100k": _tt100k,
}
"""Format -> what finds its layout in a folder."""


def _kind(name: str) -> str:
    """``train``, ``val``, ``test`` or ``trainval``, by the words in a name; empty for none."""
    words = {*re.findall("[a-z]+", name.lower())}
    return next((kind for kind, names in _NAMES.items() if words & {*names}), "")


def _splits(candidates: Iterable[str], place: Path) -> tuple[dict[Split, str], tuple[str, ...]]:
    """Which of these files, folders or keys are train and val, and what is left aside.

    Raises:
        DataError: two could be the same split, or it cannot be told which is which.
    """
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for name in candidates:
        kinds[_kind(name)].append(name)
    unknown = kinds.pop("", [])
    if not kinds:
        if len(unknown) == 1:
            return {"train": unknown[0]}, ()
        raise DataError(
            f"{place}: which of {plain(', '.join(unknown), 300) or 'its images'} are to train on "
            "and which to score; have train and val in their names"
        )
    for kind, several in kinds.items():
        if len(several) > 1:
            raise DataError(
                f"{place}: {plain(', '.join(several), 300)} could all be {kind}; keep one there"
            )
    # trainval holds val, so that only test can be scored beside it.
    train = "train" if "train" in kinds else "trainval" if "trainval" in kinds else ""
    scored = [kind for kind in ("val", "test") if kind in kinds]
    if train == "trainval":
        scored = [kind for kind in scored if kind == "test"]
    splits: dict[Split, str] = {"train": kinds[train][0]} if train else {}
    if scored:
        splits["val"] = kinds[scored[0]][0]
    left = [only for (only,) in kinds.values() if only not in splits.values()]
    return splits, tuple(f"{plain(name)} is not used" for name in [*left, *unknown])


def _several(folder: Path, layouts: Sequence[Layout]) -> str:
    found = ", ".join(
        f"{DATASETS[layout.format].title} ({plain(layout.root)})" for layout in layouts[:5]
    )
    formats = list(dict.fromkeys(layout.format for layout in layouts))
    choice = f"--format {' or '.join(formats)}, or " if len(formats) > 1 else ""
    return f"{folder}: holds several data sets: {found}; give {choice}the folder of one of them"


def _nothing(folder: Path, names: Sequence[str]) -> str:
    """Why a folder is not recognised: by what is in it."""
    images, others = 0, 0
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images += sum(is_image_name(name) for name in files)
        others += sum(not is_image_name(name) and not name.startswith(".") for name in files)
    found = f"{images} images and {others} other files" if images or others else "no files at all"
    way_out = "see docs/datasets.md for the layouts"
    if any(folder.rglob("labels")) and "yolo" in names:
        way_out = "labels of YOLO need a data.yaml with train, val and names beside them"
    elif images and not others:
        way_out = "add annotations as COCO JSON, YOLO txt or PASCAL VOC; see docs/datasets.md"
    layouts = "; ".join(f"{DATASETS[name].title}: {DATASETS[name].layout}" for name in names)
    return f"{folder}: holds {found}, and none of these layouts; {way_out}\n{layouts}"
