"""Annotation files: only regular ones are read, and what is in them is shown in short."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sobench.data import annotation_files
from sobench.data.annotation_files import (
    is_number,
    is_whole,
    read_image_ids,
    read_json,
    read_rows,
    shown,
)
from sobench.errors import DataError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"), (None, "null"), ("a", "'a'"), ("a\x1b[2J", r"'a\x1b[2J'"), ("5", "'5'"),
        ([1, "b"], "[1, b]"), ({"a": True}, "{a: true}"),
    ],
)  # fmt: skip
def test_values_are_shown_as_the_file_has_them(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("value", [0, -5, 2**63 - 1, 1.5])
def test_numbers(value: float) -> None:
    assert is_number(value)
    assert is_whole(value) == isinstance(value, int)


@pytest.mark.parametrize(
    "value", [True, False, None, "1", [1], 2**63, -(2**63), 10**400, float("nan"), float("inf")]
)
def test_what_is_not_a_number(value: object) -> None:
    assert not is_number(value)
    assert not is_whole(value)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_system_file(path: Path) -> None:
    path.symlink_to("/proc/self/environ")


@pytest.mark.parametrize("make", [a_pipe, a_device, a_system_file, Path.mkdir])
@pytest.mark.parametrize("read", [read_rows, read_image_ids, lambda path: read_json(path, "root")])
def test_only_regular_files_are_read(
    tmp_path: Path, make: Callable[[Path], None], read: Callable[[Path], Any]
) -> None:
    path = tmp_path / "a"
    make(path)
    with pytest.raises(DataError, match=r"cannot be read \(not a regular file\); replace"):
        read(path)


def test_a_file_larger_than_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    assert read_json(path, "root") == [1, 2]
    monkeypatch.setattr(annotation_files, "LARGEST_FILE", 5)
    with pytest.raises(DataError, match=r"cannot be read \(more than 5 bytes\); replace"):
        read_json(path, "root")


def test_a_name_that_no_file_can_have_is_missing() -> None:
    for name in ("a\0b", "\ud800"):
        with pytest.raises(DataError, match="no such annotation file"):
            read_rows(Path(name))
