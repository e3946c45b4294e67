"""The reference of all keys: complete, true, and the same as on the page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sobench.report.keys import BEGIN, END, Key, keys_table, suite_keys, with_keys
from sobench.suite.reader import load
from tests.pages import DOCS, ROOT
from tests.tiny_suite import write_tiny

PAGE = DOCS / "suite.md"
KEYS = suite_keys()


def dotted(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key of a suite file but those inside ``methods``."""
    for name, value in content.items():
        if name == "init_classes":
            yield "init_classes.CLASS"  # whose keys are classes
            continue
        yield prefix + name
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{name}.")


def test_the_page_is_what_the_code_says() -> None:
    assert with_keys(PAGE.read_text()) == PAGE.read_text(), "write it anew with: make docs"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.section or 'suite'}: {key.name}")
def test_every_key_has_a_meaning(key: Key) -> None:
    assert key.meaning.endswith(".")
    assert len(key.meaning) >= 15
    assert key.kind
    assert key.default
    assert key.name in PAGE.read_text()


def test_names_are_unique_in_their_section() -> None:
    assert len({(key.section, key.name) for key in KEYS}) == len(KEYS)


def test_keys_of_the_shipped_suites_are_there() -> None:
    names = {key.name for key in KEYS}
    for path in (ROOT / "suites").glob("**/*.yaml"):
        assert set(dotted(yaml.safe_load(path.read_text()))) <= names


def test_defaults_are_those_of_a_suite(tmp_path: Path) -> None:
    path = write_tiny(tmp_path, augment={}, schedule={"epochs": 3, "batch_size": 2, "lr": 0.01})
    plain = load(path)
    stated = [
        key
        for key in KEYS
        if key.default.startswith("``")
        and (not key.section.startswith("dataset") or "synthetic" in key.section)
    ]
    assert len(stated) > 25
    not_as_by_default = {"backbone.weights", "backbone.norm", "neck.channels", "device"}
    not_as_by_default |= {"anchors.smallest"}
    not_as_by_default |= {"dataset.size", "dataset.objects"}
    for key in stated:
        if key.name not in not_as_by_default:
            value = yaml.safe_load(key.default.strip("`"))
            assert load(path, {key.name: value}) == plain, key.name


def test_types_and_ranges_are_in_words() -> None:
    kinds = {(key.section, key.name): key.kind for key in KEYS}
    assert kinds["", "methods"] == "list of rows"
    assert kinds["", "eval_sizes"] == "list of: list of 2: whole number >= 32, <= 16384"
    assert kinds["neck", "neck.channels"] == "whole number > 0, <= 8192, multiple of 8"
    assert kinds["neck", "neck.norm"] == "``none`` or ``group``"
    assert kinds["dataset, format: coco", "dataset.max_area"] == "number > 0"


def test_rows_for_a_terminal() -> None:
    headings, rows = keys_table()
    assert headings == ["key", "type", "default", "meaning"]
    assert len(rows) == len(KEYS)
    assert {len(row) for row in rows} == {4}
    assert "`" not in "".join(cell for row in rows for cell in (row[0], row[3]))
    assert "dataset.root (voc)" in [row[0] for row in rows]


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        with_keys(f"text\n{BEGIN}")
    assert with_keys(f"a\n{BEGIN}old\n{END}b\n").endswith("b\n")


def test_make_docs_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "suite.md"
    page.write_text(f"by hand\n{BEGIN}{END}")
    command = [sys.executable, "-m", "sobench.report.keys", str(page)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)
    assert page.read_text() == with_keys(f"by hand\n{BEGIN}{END}")
    assert "sobench.report.keys docs/suite.md" in (ROOT / "Makefile").read_text()
