from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sobench import yaml_text
from sobench.yaml_text import UnreadableYaml, as_written, read_yaml, read_yaml_file, shown

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine to the power of nine texts."""

REFUSED: dict[str, tuple[str, str]] = {
    # name: (text, what the message says)
    "aliases of aliases": (BOMB, "line 5, column .* more than 50000 values up to here"),
    "merged aliases": (
        BOMB.replace("[x, x, x, x, x, x, x, x, x]", "{k: x}")
        .replace("[*", "{<<: [*")
        .replace("]\n", "]}\n"),
        "more than 50000 values up to here",
    ),
    "list in itself": ("&a [*a]", "'a' contains itself"),
    "mapping in itself": ("&a {b: {c: *a}}", "'a' contains itself"),
    "deep list": ("[" * 3000, "line 1, column 51: is nested more than 50 levels deep"),
    "deep blocks": ("- " * 3000, "is nested more than 50 levels deep"),
    "depth by aliases": (
        f"- &a {'[' * 40}{']' * 40}\n- {'[' * 40}*a{']' * 40}\n",
        "is nested more than 50 levels deep",
    ),
    "number of 5000 digits": ("9" * 5000, "999' is not a valid number"),
    "number in sixties": ("1" + ":1" * 50, ":1' is not a valid number"),
    "number of no digits": ("0b_", "'0b_' is not a valid number"),
    "number with a tag": ("!!int x", "tag '!!int' has no place here; write a plain value"),
    "float with a tag": ("!!float x", "tag '!!float' has no place"),
    "truth value with a tag": ("!!bool x", "tag '!!bool' has no place"),
    "date with a tag": ("!!timestamp x", "tag '!!timestamp' has no place"),
    "bytes": ("!!binary gA==", "tag '!!binary' has no place"),
    "set": ("!!set {a}", "tag '!!set' has no place"),
    "python": ("!!python/object/apply:os.system [true]", "tag '!!python/object/apply:os.system'"),
    "own tag": ("!reference [a]", "tag '!reference' has no place"),
    "long tag": (f"!{'x' * 5000} a", "x' has no place"),
    "list as text": ("!!str [a]", "expected a scalar node"),
    "NUL": ("a\0b", "line 1, column 2: unacceptable character #x0000"),
    "NUL in a later line": ("a: 1\nb: \0", "line 2, column 4: unacceptable character"),
    "written NUL": (r'"\0"', r"control character in '\\x00'; leave it out"),
    "written escape": (r'"\e[2J"', "control character"),
    "written half character": (r'"\uD800"', r"control character in '\\ud800'"),
    "half character": ("\ud800", "unacceptable character #xd800"),
    "other direction": ("a: \u202eb", "control character"),
    "control character in a key": (r'"\e": 1', "control character"),
    "key twice": ("a: 1\na: 2", "line 2, column 1: key 'a' is given twice"),
    "truth value as key": ("true: 1", "key true is not text; quote it"),
    "nothing as key": ("? \n: 1", "key null is not text"),
    "list as key": ("[a]: 1", r"key \[a\] is not text"),
    "number as key of a mapping": ("1.5: 1", "key 1.5 is not text"),
    "unknown alias": ("a: *b", "found undefined alias 'b'"),
    "two documents": ("a\n---\nb", "found another document"),
    "merged number": ("<<: 3", "expected a mapping or list of mappings"),
    "other version": ("%YAML 9.9\n---\na", "incompatible YAML document"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    text, words = REFUSED[case]
    with pytest.raises(UnreadableYaml, match=words) as caught:
        read_yaml(text)
    message = str(caught.value)
    assert message.startswith("line ")
    assert "; " in message
    assert len(message) < 400
    assert message.isprintable()


def test_the_number_of_values_is_that_of_all_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "MAX_VALUES", 10)
    # the list, its aliases' three values each, and so on
    assert read_yaml("[&a [x, y], *a, *a]") == [["x", "y"]] * 3
    with pytest.raises(UnreadableYaml, match="more than 10 values"):
        read_yaml("[&a [x, y], *a, *a, z]")


def test_the_depth_may_be_used_up() -> None:
    assert read_yaml("[" * 49 + "x" + "]" * 49)
    with pytest.raises(UnreadableYaml, match="nested"):
        read_yaml("[" * 50 + "x" + "]" * 50)


READ: dict[str, Any] = {
    "2001-99-99": "2001-99-99",
    "2001-12-14": "2001-12-14",
    "!!str 5": "5",
    "=": "=",
    "<<": "<<",
    "1e-4": "1e-4",
    "[1, 1.5, true, null, .inf]": [1, 1.5, True, None, float("inf")],
    "{a: &x {b: 1}, c: {<<: *x, d: 2}}": {"a": {"b": 1}, "c": {"b": 1, "d": 2}},
    "{x: [{y: &b {<<: {p: 1}, p: 2}}], c: {<<: *b}}": {"x": [{"y": {"p": 2}}], "c": {"p": 2}},
    "{0: person, 1: car}": {0: "person", 1: "car"},
    "|\n a\n b\n": "a\nb\n",
    "": None,
}


@pytest.mark.parametrize("text", READ, ids=ascii)
def test_read(text: str) -> None:
    assert read_yaml(text) == READ[text]


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml_file(path) == {"a": 1}
    with pytest.raises(FileNotFoundError):
        read_yaml_file(tmp_path / "gone.yaml")
    with pytest.raises(UnreadableYaml, match="cannot be read: not a regular file"):
        read_yaml_file(tmp_path)
    for content in (b"\xff\xfea\x00", b"caf\xe9"):
        path.write_bytes(content)
        with pytest.raises(UnreadableYaml, match=r"cannot be read: .*utf-8"):
            read_yaml_file(path)
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(UnreadableYaml, match="cannot be read: it has more than 1 MiB"):
        read_yaml_file(path)


def test_what_never_ends_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UnreadableYaml, match="cannot be read: not a regular file"):
            read_yaml_file(path)
    with pytest.raises(FileNotFoundError):
        read_yaml_file(Path("a\0b"))


SHOWN: list[tuple[Any, str]] = [
    ("fast", "fast"),
    (None, "null"),
    (float("inf"), ".inf"),
    ((64, 32), "[64, 32]"),
    ({"a": True}, "{a: true}"),
    (10**5000, "over 40 digits"),
    ("\x1b", r'"\e"'),
    ("\ud800", r'"\uD800"'),
    (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, '...']"),
    ([[[["deep"]]]], "[[['...']]]"),
    (b"x", "of type bytes"),
    (object(), "of type object"),
]


@pytest.mark.parametrize(("value", "text"), SHOWN, ids=[text for _, text in SHOWN])
def test_shown(value: Any, text: str) -> None:
    assert shown(value) == text


def test_shown_is_short() -> None:
    bomb: list[Any] = ["x"]
    for _ in range(9):
        bomb = [bomb] * 9
    circle: list[Any] = []
    circle.append(circle)
    for value in ("x" * 10**6, ["x" * 1000] * 1000, bomb, circle, {"k" * 999: bomb}, {(1, 2): 3}):
        assert 0 < len(shown(value)) <= 80


@pytest.mark.parametrize("value", ["a", 1, 1.5, True, None, [1, "b"], {"a": [1]}, "true", "größer"])
def test_as_written_reads_back(value: Any) -> None:
    assert read_yaml(as_written(value)) == value
