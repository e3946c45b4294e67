"""Data sets that once gave a traceback, a hang or nonsense; always tried."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaigns import hostile
from tests.campaigns.datasets import LAYOUTS, Files, Rows, Special, Tree, Xml
from tests.campaigns.hostile import ALIASES, ENTITIES


@dataclass(frozen=True)
class Known:
    """A data set: what is wrong, the keys of ``dataset``, the files.

    Attributes:
        refused: nothing but a refusal is right.
        runs: it is trained on as well.
    """

    name: str
    keys: dict[str, Any]
    files: Files
    refused: bool = False
    runs: bool = False


Change = Callable[[dict[str, Any], Files], None]


def _known(
    layout: str, name: str, change: Change, refused: bool = False, runs: bool = False
) -> Known:
    keys, files = LAYOUTS[layout]()
    changed = {
        path: Tree(hostile.copied(content.content)) if isinstance(content, Tree) else content
        for path, content in files.items()
    }
    change(keys, changed)
    return Known(f"{layout}: {name}", keys, changed, refused, runs)


def _tree(files: Files, name: str) -> Any:
    content = files[name]
    assert isinstance(content, Tree)
    return content.content


def _coco(section: str, position: int, key: str, new: Any, split: str = "val") -> Change:
    """One value of a COCO file."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        _tree(files, f"{split}.json")[section][position][key] = new

    return change


def _category(position: int, key: str, new: Any) -> Change:
    """One value of a category in both splits."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        for split in ("train", "val"):
            _tree(files, f"{split}.json")["categories"][position][key] = new

    return change


def _names(text: str) -> Change:
    """The names of a YOLO data.yaml, as YAML."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        config = f"train: images/train\nval: images/val\nnames: {text}\n"
        files["data.yaml"] = Xml(config)  # a text that is written as it is

    return change


def _yolo(config: str) -> Change:
    def change(_keys: dict[str, Any], files: Files) -> None:
        files["data.yaml"] = Xml(config)

    return change


def _sign(key: str, new: Any) -> Change:
    """One value of an image of a TT100K file."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        _tree(files, "annotations.json")["imgs"]["4"][key] = new

    return change


def _sign_id(new: str) -> Change:
    """Another id of an image of a TT100K file, also in the list of the split."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        images = _tree(files, "annotations.json")["imgs"]
        images[new] = images.pop("4")
        files["test/ids.txt"] = Rows(f"{new}\n5", " ")

    return change


def _rows(text: str) -> Change:
    """The rows of a VisDrone file."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        files["val/annotations/4.txt"] = Rows(text, ",")

    return change


def _prologue(text: str, old: str = "", new: str = "") -> Change:
    """A prologue of a VOC file, and another text in it."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        content = files["Annotations/4.xml"]
        assert isinstance(content, Xml)
        files["Annotations/4.xml"] = Xml(text + content.text.replace(old, new))

    return change


def _file(name: str, make: Callable[[Path], None]) -> Change:
    """Something else in the place of a file or folder."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        for other in [path for path in files if path.startswith(f"{name}/")]:
            del files[other]
        files[name] = Special(make)

    return change


def _keys(**changes: Any) -> Change:
    def change(keys: dict[str, Any], _files: Files) -> None:
        keys.update(changes)

    return change


def _image_name(new: str) -> Change:
    """A file name in a COCO file, with the image at that place."""

    def change(_keys: dict[str, Any], files: Files) -> None:
        images = _tree(files, "val.json")["images"]
        files[f"images/{new}"] = files.pop("images/4.png")
        images[0]["file_name"] = new

    return change


def _without_boxes(_keys: dict[str, Any], files: Files) -> None:
    _tree(files, "val.json")["annotations"].clear()


def _repeated(_keys: dict[str, Any], files: Files) -> None:
    rows = _tree(files, "val.json")["annotations"]
    rows.append(dict(rows[0]))


def _other_classes(_keys: dict[str, Any], files: Files) -> None:
    _tree(files, "val.json")["categories"].reverse()


def _train_is_val(_keys: dict[str, Any], files: Files) -> None:
    files["val.json"] = files["train.json"]


def _two_links(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "one").symlink_to(".")
    (path / "two").symlink_to(".")


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


_DIGITS = hostile.raw("digits6000")

KNOWN_DATA = [
    _known("coco", "box of 400 digits", _coco("annotations", 0, "bbox", [10**400, 1, 5, 5])),
    _known("coco", "area of 400 digits", _coco("annotations", 0, "area", 10**400)),
    _known("coco", "width of 400 digits", _coco("images", 0, "width", 10**400)),
    _known("coco", "6000 digits", _coco("annotations", 0, "area", _DIGITS)),
    _known("coco", "deep list", _coco("annotations", 0, "bbox", hostile.raw("deep3000"))),
    _known("coco", "deep list of 100000", _coco("annotations", 0, "x", hostile.raw("deep100000"))),
    _known("coco", "image id of 2^63", _coco("images", 0, "id", 2**63), refused=True),
    _known("coco", "category id of 2^63", _category(0, "id", 2**63), refused=True),
    _known("coco", "boolean id", _coco("images", 0, "id", True), refused=True),
    _known("coco", "boolean crowd", _coco("annotations", 0, "iscrowd", True)),
    _known("coco", "boolean side", _coco("annotations", 0, "bbox", [True, 1, 5, 5]), refused=True),
    _known("coco", "box of 1e308", _coco("annotations", 0, "bbox", [1, 1, 1e308, 5]), True),
    _known("coco", "box of -1e308", _coco("annotations", 0, "bbox", [-1e308, 1, 1e308, 5]), True),
    _known("coco", "box of 2^63", _coco("annotations", 0, "bbox", [0, 0, 2**63, 2**63]), True),
    _known("coco", "area of 1e308", _coco("annotations", 0, "area", 1e308)),
    _known("coco", "two classes of one name", _category(1, "name", "car"), refused=True),
    _known("coco", "a class called all", _category(1, "name", "all"), refused=True),
    _known("coco", "a class of escapes", _category(1, "name", hostile.ESCAPES), runs=True),
    _known("coco", "a class of markup", _category(1, "name", "[/x]"), runs=True),
    _known("coco", "a class of a formula", _category(1, "name", "=1+1"), runs=True),
    _known("coco", "a class with a surrogate", _category(1, "name", "\ud800")),
    _known("coco", "a class with NUL", _category(1, "name", "a\0b")),
    _known("coco", "a class of 5000 letters", _category(1, "name", "a" * 5000)),
    _known("coco", "a file name with ..", _image_name("../4.png"), refused=True),
    _known("coco", "a file name with escapes", _image_name("\x1b[2J.png")),
    _known("coco", "an absolute file name", _coco("images", 0, "file_name", "/dev/zero"), True),
    _known("coco", "a file name with NUL", _coco("images", 0, "file_name", "\0"), refused=True),
    _known("coco", "a file name with a surrogate", _coco("images", 0, "file_name", "\ud800"), True),
    _known("coco", "a missing file of escapes", _coco("images", 0, "file_name", "\x1b[2J"), True),
    _known("coco", "a file name of 5000", _coco("images", 0, "file_name", "a" * 5000), True),
    _known("coco", "val without boxes", _without_boxes, refused=True),
    _known("coco", "an annotation twice", _repeated),
    _known("coco", "classes that differ", _other_classes, refused=True),
    _known("coco", "train is val", _train_is_val),
    _known("coco", "two links to itself", _file("images", _two_links)),
    _known("coco", "annotations of /dev/zero", _file("val.json", _link("/dev/zero")), True),
    _known("coco", "annotations in a FIFO", _file("val.json", os.mkfifo), refused=True),
    _known("coco", "an image of /dev/zero", _file("images/4.png", _link("/dev/zero")), True),
    _known("coco", "an image in a FIFO", _file("images/4.png", os.mkfifo), refused=True),
    _known("coco", "images of proc", _keys(train_images="/proc"), refused=True),
    _known("coco", "images of /", _keys(train_images="/"), refused=True),
    _known("coco", "annotations by NUL", _keys(train="\0"), refused=True),
    _known("visdrone", "two links to itself", _file("train/images", _two_links)),
    _known("visdrone", "a column of 6000", _rows("9" * 6000 + ",1,5,5,1,4,0,0"), refused=True),
    _known("visdrone", "a box of 1e308", _rows("1,1,1e308,5,1,4,0,0"), refused=True),
    _known("visdrone", "a row of escapes", _rows("\x1b[2J\x9b"), refused=True),
    _known("visdrone", "a FIFO", _file("val/annotations/4.txt", os.mkfifo), refused=True),
    _known("voc", "an unknown encoding", _prologue('<?xml version="1.0" encoding="foo"?>'), True),
    _known("voc", "another encoding", _prologue('<?xml version="1.0" encoding="utf-16"?>'), True),
    _known("voc", "entities", _prologue(ENTITIES, "car", "&i;"), refused=True),
    _known("voc", "a file as entity", _prologue(
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>', "car", "&x;"), refused=True),
    _known("voc", "a class of escapes", _prologue("", "car", "a\x9b31m"), refused=True),
    _known("voc", "100000 deep", _prologue("", "<filename>", "<a>" * 100_000 + "<filename>"), True),
    _known("voc", "width of 400 digits", _prologue("", ">32<", f">{10**400}<"), refused=True),
    _known("voc", "corner of 1e308", _prologue("", "<xmax>8<", "<xmax>1e308<"), refused=True),
    _known("voc", "file name with ..", _prologue("", ">4.png<", ">../../4.png<")),
    _known("voc", "image set with ..", _keys(train="../../x"), refused=True),
    _known("voc", "image set by NUL", _keys(train="\0"), refused=True),
    _known("voc", "a link to itself", _file("Annotations", _link("Annotations")), refused=True),
    _known("yolo", "a name with a surrogate", _names('["\\ud800", b, c]')),
    _known("yolo", "a name of NUL", _names('["\\0", b, c]')),
    _known("yolo", "names of escapes", _names('["\\e[2J", "b\\x9b", "\\r"]'), runs=True),
    _known("yolo", "names of aliases", _names(ALIASES), refused=True),
    _known("yolo", "a name of aliases", _names(f"[{ALIASES}, b, c]"), refused=True),
    _known("yolo", "equal names", _names("[0, 0, 1]"), refused=True),
    _known("yolo", "names of one text", _names('[0, "0", 1]'), refused=True),
    _known("yolo", "ids of 2^63", _names("{9223372036854775808: a}"), refused=True),
    _known("yolo", "a date", _names("[2001-99-99, b, c]"), refused=True),
    _known("yolo", "a wrong integer", _names("[!!int x, b, c]"), refused=True),
    _known("yolo", "names 3000 deep", _names("[" * 3000 + "]" * 3000), refused=True),
    _known("yolo", "names 400 deep", _names("[" * 400 + "]" * 400), refused=True),
    _known("yolo", "6000 digits", _names("[" + "9" * 6000 + ", b, c]")),
    _known("yolo", "python", _names("[!!python/name:os.system , b, c]"), refused=True),
    _known("yolo", "aliases as images", _yolo(f"train: {ALIASES}\nval: images/val\nnames: [a]"),
           refused=True),
    _known("yolo", "NUL as images", _yolo(
        'train: "\\0"\nval: images/val\nnames: [a, b, c]'), refused=True),
    _known("yolo", "images of proc", _yolo(
        "train: /proc\nval: images/val\nnames: [a, b, c]"), refused=True),
    _known("yolo", "a path upwards", _yolo(
        "path: ../../../../..\ntrain: proc/self\nval: images/val\nnames: [a, b, c]"), True),
    _known("yolo", "/dev/zero as list", _yolo(
        "train: /dev/zero\nval: images/val\nnames: [a, b, c]"), refused=True),
    _known("yolo", "two links to itself", _file("images/train", _two_links), refused=True),
    _known("yolo", "a FIFO as config", _file("data.yaml", os.mkfifo), refused=True),
    _known("yolo", "/dev/zero as config", _file("data.yaml", _link("/dev/zero")), refused=True),
    _known("tt100k", "a deep list", _sign("objects", hostile.raw("deep3000")), refused=True),
    _known("tt100k", "an id of 2^64", _sign_id(str(2**64)), refused=True),
    _known("tt100k", "an id of 5000 digits", _sign_id("9" * 5000), refused=True),
    _known("tt100k", "a path with ..", _sign("path", "../x.png"), refused=True),
    _known("tt100k", "an absolute path", _sign("path", "/dev/zero"), refused=True),
    _known("tt100k", "a path of escapes", _sign("path", "test/\x1b[2J"), refused=True),
]  # fmt: skip
