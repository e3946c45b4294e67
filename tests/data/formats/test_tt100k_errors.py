"""TT100K: malformed annotations, images and lists of ids are refused with a way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.formats.tt100k_files import TYPES, refused, sign, write


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), ".nan"), (float("inf"), ".inf"), (10**400, "over 40 digits"),
        ("3", "'3'"), (None, "null"), (True, "true"), ([3], "[3]"),
    ],
)  # fmt: skip
def test_a_corner_that_is_not_a_finite_number_is_refused(
    tmp_path: Path, value: object, shown: str
) -> None:
    write(tmp_path, {"test/4.jpg": [sign(), sign(box=(1, 1, value, 9))]})
    message = refused(tmp_path)
    assert f"annotations.json, image 4, object 2: xmax is {shown}" in message
    assert "not a finite number; correct or remove" in message


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ({"1": sign()}, "image 4: objects is not a list; write one, empty for none"),
        ([["pl30"]], "image 4, object 1: has no 'category'; add it"),
        ([{"bbox": {}}], "image 4, object 1: has no 'category'; add it"),
        ([{"category": "wo"}], "image 4, object 1: has no 'bbox'; add it"),
        ([{"category": "wo", "bbox": [1, 1, 9, 9]}], "object 1, bbox: has no 'xmin'; add it"),
        ([{"category": "wo", "bbox": {"xmin": 1}}], "object 1, bbox: has no 'ymin'; add it"),
        ([sign("pl3O")], "category 'pl3O' is not among the 47 types, correct it or add it there; "),
        ([sign(5)], "object 1: category 5 is not among the 47 types"),
        ([sign(["wo"])], "object 1: category [wo] is not among the 47 types"),
    ],
)
def test_malformed_objects_are_refused(tmp_path: Path, objects: Any, problem: str) -> None:
    write(tmp_path, {"test/4.jpg": objects})
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / 'annotations.json'}, image 4")
    assert problem in message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "has no 'imgs'; add it or give a file of TT100K's layout"),
        ('{"images": [], "types": []}', "has no 'imgs'; add it"),
        ('{"imgs": {"1": {}}}', "has no 'types'; add it"),
        ('{"imgs": {}, "types": []}', "imgs is not a mapping of ids to images; give"),
        ('{"imgs": [1], "types": []}', "imgs is not a mapping of ids to images; give"),
        ('{"imgs": {"1": {}}, "types": {}}', "types is not a list of names; give"),
        ('{"imgs": {"1": {}}, "types": [1]}', "types is not a list of names; give"),
        ('{"imgs": {\n"1": {"path"', "line 2: is not valid JSON (Expecting"),
        ('{"imgs": ' + "[" * 100_000, "is nested too deep; replace"),
        ('{"imgs": ' + "1" * 5000 + "}", "cannot be read (Exceeds the limit"),
        ('"\xff"', "cannot be read ('utf-8' codec"),
    ],
)
def test_another_structure_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "annotations.json").write_bytes(content.encode("latin-1"))
    assert problem in refused(tmp_path)


@pytest.mark.parametrize(
    ("key", "entry", "problem"),
    [
        ("4", [], "image 4: has no 'path'; add it"),
        ("4", {"path": 5, "objects": []}, "image 4: path is 5; write one relative to dataset.root"),
        ("4", {"path": "", "objects": []}, "image 4: path is ''; write one"),
        ("4", {"path": "test/1.jpg"}, "image 4: has no 'objects'; add it"),
        (
            "04",
            {"path": "test/1.jpg", "objects": []},
            "id '04' is not a whole number of 64 bits;",
        ),
        (
            "x",
            {"path": "test/1.jpg", "objects": []},
            "id 'x' is not a whole number of 64 bits; num",
        ),
    ],
)
def test_malformed_images_are_refused(tmp_path: Path, key: str, entry: Any, problem: str) -> None:
    write(tmp_path, {"test/1.jpg": []})
    content = {"imgs": {"1": {"path": "test/1.jpg", "objects": []}, key: entry}, "types": TYPES}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    assert problem in refused(tmp_path)


def test_lists_of_ids_are_checked(tmp_path: Path) -> None:
    write(tmp_path, {"test/1.jpg": [], "test/2.jpg": []}, ids={"test": ["1", "5", "6"]})
    message = refused(tmp_path)
    assert f"{tmp_path / 'test' / 'ids.txt'}, row 2: image '5' is not among the 2 of" in message
    assert "add it there (with no objects for a background) or remove the row" in message
    (tmp_path / "test" / "ids.txt").write_text("1\n2\n1\n")
    assert "row 3: image '1' is also in row 1; remove one" in refused(tmp_path)
    (tmp_path / "test" / "ids.txt").write_text("\n")
    assert "ids.txt: lists no images; give a list with at least one" in refused(tmp_path)
    (tmp_path / "test" / "ids.txt").write_bytes(b"\xff")
    assert "ids.txt: is not a UTF-8 text file; replace it" in refused(tmp_path)


def test_missing_and_broken_images_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"test/1.jpg": [], "test/2.jpg": []})
    (tmp_path / "test" / "2.jpg").write_bytes(b"not an image")
    assert f"{tmp_path / 'test' / '2.jpg'}: is not an image" in refused(tmp_path)
    (tmp_path / "test" / "2.jpg").unlink()
    assert f"{tmp_path / 'test' / '2.jpg'}: no such image file; put it back" in refused(tmp_path)
    (tmp_path / "test" / "1.jpg").unlink()
    (tmp_path / "test").rmdir()
    message = refused(tmp_path)
    assert f"{tmp_path / 'test'}: no such image folder; put it back, or correct" in message
    assert "dataset.val" in message
