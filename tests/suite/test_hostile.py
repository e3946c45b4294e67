"""Suites that somebody wrote to break what reads them."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path

import pytest
import yaml

from sobench.errors import SuiteError
from sobench.suite.reader import load, parse
from sobench.suite.sections import Suite
from tests.suite.hostile_suites import HOSTILE, KEYS, VALUES
from tests.suite.suite_texts import text_of


def read(path: Path, content: str) -> Suite | str:
    """The suite, or the message of its error."""
    path.write_text(content)
    try:
        return load(path)
    except SuiteError as error:
        return str(error)


@pytest.mark.parametrize("case", HOSTILE)
def test_refused(tmp_path: Path, case: str) -> None:
    content, words = HOSTILE[case]
    path = tmp_path / "a.yaml"
    message = read(path, content)
    assert isinstance(message, str)
    assert message.startswith(f"{path}{words}")
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 700


@pytest.mark.parametrize("key", KEYS)
def test_any_value_of_any_key(key: str) -> None:
    content = yaml.safe_load(text_of())
    *parents, last = key.split("__")
    refused = 0
    for value in VALUES.values():
        changed = copy.deepcopy(content)
        section = changed
        for name in parents:
            section = section.setdefault(name, {})
        section[last] = value
        try:
            parse(changed, Path("a.yaml"))
        except SuiteError as error:
            refused += 1
            message = str(error)
            assert message.startswith("a.yaml: ")
            assert re.search(r"[;,] |missing|must rise|known", message), message
            assert "nput should" not in message
            assert message.isprintable()
            assert len(message) < 700
    assert refused >= 7


def test_folded_text_may_end_its_line(tmp_path: Path) -> None:
    suite = read(
        tmp_path / "a.yaml", text_of(title=1).replace("title: 1", "title: >\n  My\n  data")
    )
    assert isinstance(suite, Suite)
    assert suite.title == "My data"


def test_files_that_never_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero")):
        with pytest.raises(SuiteError, match=f"^{path}: cannot be read: not a regular file"):
            load(path)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    message = read(tmp_path / "a.yaml", text_of(backbone__weights="circle/w.pth"))
    assert isinstance(message, str)
    assert "backbone.weights: circle/w.pth is not a usable path (" in message
    for override in ("a\0b", "\ud800", "x" * 5000):
        with pytest.raises(SuiteError, match=r"^\S+: backbone\.weights: |^backbone\.weights: "):
            load(write(tmp_path), {"backbone.weights": override})


def write(folder: Path) -> Path:
    path = folder / "good.yaml"
    path.write_text(text_of())
    return path


def test_overrides_of_many_dots(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"unknown key 'schedule\.a'"):
        load(write(tmp_path), {"schedule" + ".a" * 10**5: 1})
