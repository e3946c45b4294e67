"""Every reader refuses what is not of its form in one short line: no traceback, hang or bomb."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sobench.data.load import read_annotations
from sobench.errors import DataError
from sobench.suite.datasets import DataSpec
from tests.data.small_datasets import MAKERS, coco_at, tt100k_at, visdrone_at, voc_at, yolo_at

TYPES = ("null", "true", '"x"', '"\\ud800\\u0000"', "[]", "[[1]]", "{}", "1.5", "-1", "0")
NUMBERS = ("NaN", "Infinity", "1e400", "1" * 400, "9" * 5000, str(2**63), "1e308")
NESTED = "[" * 100_000, '{"a":' * 100_000


def refused(spec: DataSpec) -> str:
    with pytest.raises(DataError) as error:
        read_annotations(spec, "val")
    text = str(error.value)
    assert text.isprintable()
    assert len(text) < 1000
    return text


def is_refused_or_read(spec: DataSpec) -> None:
    """Nothing but a short message is allowed to come out of a value that is not of its form."""
    try:
        read_annotations(spec, "val")
    except DataError as error:
        text = str(error)
    else:
        text = ""
    assert text == "" or text.isprintable()
    assert len(text) < 1000


def with_value(file: Path, path: tuple[str | int, ...], value: str) -> None:
    """Put a piece of JSON in a file, which ``json`` itself would not write."""
    content = json.loads(file.read_text())
    entry: Any = content
    for key in path[:-1]:
        entry = entry[key]
    entry[path[-1]] = "PLACE"
    file.write_text(json.dumps(content).replace('"PLACE"', value))


COCO_KEYS: list[tuple[str | int, ...]] = [
    ("images",), ("categories",), ("annotations",),
    ("images", 0), ("categories", 0), ("annotations", 0),
    *(("images", 0, key) for key in ("id", "file_name", "width", "height")),
    *(("categories", 0, key) for key in ("id", "name")),
    *(("annotations", 0, key) for key in ("id", "image_id", "category_id", "bbox", "area")),
    *(("annotations", 0, "bbox", number) for number in range(4)),
    ("annotations", 0, "iscrowd"),
]  # fmt: skip


@pytest.mark.parametrize("key", COCO_KEYS, ids=str)
def test_coco_values_of_any_type(tmp_path: Path, key: tuple[str | int, ...]) -> None:
    spec = coco_at(tmp_path)
    original = (tmp_path / "val.json").read_text()
    for value in (*TYPES, *NUMBERS, *NESTED):
        (tmp_path / "val.json").write_text(original)
        with_value(tmp_path / "val.json", key, value)
        is_refused_or_read(spec)


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("number", range(4))
def test_coco_boxes_of_absurd_numbers_are_refused(tmp_path: Path, number: int, value: str) -> None:
    spec = coco_at(tmp_path)
    with_value(tmp_path / "val.json", ("annotations", 0, "bbox", number), value)
    assert str(tmp_path / "val.json") in refused(spec)


@pytest.mark.parametrize("key", ["id", "width", "height"])
@pytest.mark.parametrize("value", ["true", "1.0", "9" * 400, str(2**63), "NaN"])
def test_coco_integers_are_integers_of_64_bits(tmp_path: Path, key: str, value: str) -> None:
    spec = coco_at(tmp_path)
    with_value(tmp_path / "val.json", ("images", 0, key), value)
    assert "images[0]: " in refused(spec)


TT100K_KEYS: list[tuple[str | int, ...]] = [
    ("imgs",), ("types",), ("types", 0), ("imgs", "2"),
    ("imgs", "2", "path"), ("imgs", "2", "objects"), ("imgs", "2", "objects", 0),
    *(("imgs", "2", "objects", 0, key) for key in ("category", "bbox")),
    *(("imgs", "2", "objects", 0, "bbox", key) for key in ("xmin", "ymin", "xmax", "ymax")),
]  # fmt: skip


@pytest.mark.parametrize("key", TT100K_KEYS, ids=str)
def test_tt100k_values_of_any_type(tmp_path: Path, key: tuple[str | int, ...]) -> None:
    spec = tt100k_at(tmp_path)
    original = (tmp_path / "annotations.json").read_text()
    for value in (*TYPES, *NUMBERS, *NESTED):
        (tmp_path / "annotations.json").write_text(original)
        with_value(tmp_path / "annotations.json", key, value)
        is_refused_or_read(spec)


@pytest.mark.parametrize("key", ["9" * 5000, "9" * 19, "²", "-1", "01", "", "\x1b[2J"])
def test_tt100k_ids_that_are_no_numbers(tmp_path: Path, key: str) -> None:
    spec = tt100k_at(tmp_path)
    file = tmp_path / "annotations.json"
    content = json.loads(file.read_text())
    content["imgs"][key] = content["imgs"].pop("2")
    file.write_text(json.dumps(content))
    (tmp_path / "test" / "ids.txt").unlink()
    assert "is not a whole number of 64 bits" in refused(spec)


ROWS = [
    "1e308",
    "-1e308",
    "nan",
    "inf",
    "9" * 400,
    "9" * 5000,
    "0x1",
    "\x1b[2J",
    "x" * 10**5,
    "1_0",
]


@pytest.mark.parametrize("cell", ROWS, ids=range(len(ROWS)))
@pytest.mark.parametrize("column", range(8))
def test_visdrone_cells(tmp_path: Path, column: int, cell: str) -> None:
    spec = visdrone_at(tmp_path)
    cells = ["1", "1", "3", "3", "1", "4", "0", "0"]
    cells[column] = cell
    (tmp_path / "val" / "annotations" / "a.txt").write_text(",".join(cells))
    is_refused_or_read(spec)
    if column < 4 and cell not in ("1_0", "-1e308"):
        assert "row 1" in refused(spec)


@pytest.mark.parametrize("cell", ROWS, ids=range(len(ROWS)))
@pytest.mark.parametrize("column", range(5))
def test_yolo_cells(tmp_path: Path, column: int, cell: str) -> None:
    spec = yolo_at(tmp_path)
    cells = ["0", "0.5", "0.5", "0.5", "0.5"]
    cells[column] = cell
    (tmp_path / "labels" / "val" / "a.txt").write_text(" ".join(cells))
    assert "row 1" in refused(spec)


def bomb(levels: int, head: str) -> str:
    """Aliases of aliases: nine to the power of the levels."""
    lines = ["a0: &a0 x"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"{head}: *a{levels - 1}"])


NAMES = ("train: images/train\nval: images/val\nnames: " + text for text in (
    "[0, 0]", "[a, a]", "[all]", "[yes, car]", "[null]", "[[a]]", "[{a: b}]", "{a: car}",
    "{-1: car}",
    "{true: car}", "{1.5: car}", '["\\ud800"]', '["\\e[2J"]', "['']", "[2001-99-99]x", "car", "[]",
    "{9223372036854775808: car}", "[.nan]", "!!python/object:os.system [x]", "[" * 5000,
    "[" + "9" * 5000 + "]", "&a [*a]",
))  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        *NAMES, *(bomb(9, key) for key in ("names", "val", "path", "nc")), "\0", "5", "- a",
        "val: ../../../../../etc\nnames: [car]", "val: /proc\nnames: [car]",
        "val: \"images/\\0val\"\nnames: [car]", f"val: {'x' * 5000}\nnames: [car]",
        "val: images/val\nnames: [car]\npath: [1]", "val: images/val\nnames: [car]\nnc: [1]",
    ],
    ids=lambda text: text[-20:].strip(),
)  # fmt: skip
def test_yolo_configurations(tmp_path: Path, content: str) -> None:
    spec = yolo_at(tmp_path)
    (tmp_path / "data.yaml").write_text(content)
    assert "data.yaml" in refused(spec)


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0" encoding="foo"?><annotation/>',
        b'<?xml version="1.0" encoding="hex"?><annotation/>',
        b'<?xml version="1.0" encoding="utf-7"?><annotation/>',
        f'<!DOCTYPE a [<!ENTITY a0 "lol">{ENTITIES}]><a>&a11;</a>'.encode(),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b"<a>" * 100_000,
        b"", b"\0" * 100, b"\xff\xfe", b"<annotation><size><width>" + b"9" * 400,
        b"<annotation><size><width>1e308</width><height>9</height></size></annotation>",
        b"<annotation><size><width>" + b"9" * 99 + b"</width><height>9</height></size></annotation>",  # noqa: E501
    ],
    ids=range(12),
)  # fmt: skip
def test_voc_files(tmp_path: Path, content: bytes) -> None:
    spec = voc_at(tmp_path)
    (tmp_path / "Annotations" / "val1.xml").write_bytes(content)
    assert "val1.xml" in refused(spec)


def test_a_deep_voc_file_is_read(tmp_path: Path) -> None:
    spec = voc_at(tmp_path)
    (tmp_path / "Annotations" / "val1.xml").write_bytes(b"<a>" * 10**5 + b"</a>" * 10**5)
    assert len(read_annotations(spec, "val").images) == 1


@pytest.mark.parametrize("name", MAKERS)
def test_every_annotation_file_must_be_regular(tmp_path: Path, name: str) -> None:
    makers: list[Callable[[Path], None]] = [os.mkfifo, lambda path: path.symlink_to("/dev/zero")]
    for number, make in enumerate(makers):
        root = tmp_path / str(number)
        spec = MAKERS[name](root)
        files = ["annotations.json", "val.json", "data.yaml", "val/annotations/a.txt"]
        file = next((root / file for file in files if (root / file).exists()), None)
        file = file or root / "Annotations" / "val1.xml"
        file.unlink()
        make(file)
        assert "not a regular file" in refused(spec)
