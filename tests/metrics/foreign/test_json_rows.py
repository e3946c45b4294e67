from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sobench.errors import DataError
from sobench.metrics.foreign import json_rows
from sobench.metrics.foreign.json_rows import read_objects

ROWS = [
    {"a": i, "text": 'br[ace]s } , { and "quotes" \\', "list": [[1.5, -2e3], {}]} for i in range(40)
]


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 2**20])
@pytest.mark.parametrize("indent", [None, 1])
def test_objects_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text("  " + json.dumps(ROWS, indent=indent) + " \n")
    assert list(read_objects(path)) == list(enumerate(ROWS, 1))


@pytest.mark.parametrize("text", ["[]", " [ \n ] "])
def test_an_empty_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert list(read_objects(path)) == []


def test_byte_order_mark_and_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(ROWS).encode()))
    assert [row for _, row in read_objects(path)] == ROWS


@pytest.mark.parametrize("chunk", [3, 2**20])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"a": 1},\n {"a": 2', "line 2, character 9: the file ends within its list"),
        ('[{"a": 1},\n {"a": "x', "line 2, character 8: the file ends within its list"),
        ('[{"a": 1}', "line 1, character 10: the file ends within its list"),
        ('[{"a": 1},', "line 1, character 11: the file ends within its list"),
        ('[{"a": 1}\n{"a": 2}]', "line 2, character 1: is not valid JSON (no comma after row 1"),
        ('[{"a": 1},\n\n {"a" 2}]', "line 3, character 7: is not valid JSON (row 2: Expecting ':'"),
        ('[{"a": 1}, 7]', "line 1, character 12: is not valid JSON (row 2 is not an object"),
        ('[{"a": 1}, ]', "line 1, character 12: is not valid JSON (row 2 is not an object"),
        ('[{"a": 1}] x', "line 1, character 12: is not valid JSON (something follows the list"),
        ("", "is empty"),
        ("hello", "is not JSON"),
        ('{"a": [1]}', "holds one object, not a list"),
        ('{"info": {}, "images": [], "annotations": []}', "is a COCO annotation file"),
    ],
)
def test_damage_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, text: str, problem: str
) -> None:
    if not text.startswith("{"):  # whose keys are looked for in the first chunk
        monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        list(read_objects(path))
    assert problem in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_wrong_row_does_not_read_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", 100)
    monkeypatch.setattr(json_rows, "_LONGEST", 1000)
    path = tmp_path / "a.json"
    path.write_text('[{"a": [' + "1, " * 10_000)
    with pytest.raises(DataError, match="row 1: has no end within 1000 characters"):
        list(read_objects(path))


def test_wrong_json_is_told_before_more_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", 200)
    path = tmp_path / "a.json"
    path.write_text('[{"a" 1}, ' + '{"a": 1}, ' * 10_000)
    with pytest.raises(DataError, match=r"line 1, character 7: is not valid JSON"):
        list(read_objects(path))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe[\x00]\x00", "is not a UTF-8 text file"),
        (gzip.compress(b"[]", mtime=0)[:-6], "it is cut off or damaged"),
        (b"\x1f\x8bnonsense", "it is cut off or damaged"),
        (b'[{"a": ' + b"[" * 100_000, "nested too deep"),
        (b'[{"a": ' + b"9" * 5000 + b"}]", "row 1"),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem):
        list(read_objects(path))
