"""A result of less than the suite is marked in every format, and replaces no file of the suite."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.commands.small_suite import Capture, files, keep, write_suite
from tests.records import invoke, isolate

FORMATS = {"terminal": "", "md": "md", "csv": "csv", "json": "json", "latex": "tex", "html": "html"}
PARTS = {
    ("--limit", "2"): "PARTIAL RESULT (--limit 2)",
    ("--epochs", "2"): "PARTIAL RESULT (--epochs 2)",
    ("--set", "schedule.lr=0.01"): "PARTIAL RESULT (--set schedule.lr=0.01)",
    ("--methods", "ssd"): "PART OF THE SUITE (1 of its 2 rows)",
    ("--seeds", "0"): "PART OF THE SUITE (seed 0 in place of 0, 1)",
    ("--seeds", "1,0", "--methods", "fpn"): "PART OF THE SUITE (1 of its 2 rows)",
    ("--set", "methods=[ssd]"): "PART OF THE SUITE (1 of its 2 rows)",
    ("--set", "seeds=[0]"): "PART OF THE SUITE (seed 0 in place of 0, 1)",
    ("--set", "seeds=[0]", "--methods", "fpn"): (
        "PART OF THE SUITE (1 of its 2 rows; seed 0 in place of 0, 1)"
    ),
}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def suite() -> Path:
    """Two rows with two seeds, and the results of the same suite made smaller."""
    path = write_suite(seeds=[0, 1])
    keep(path, 0.5, 0.4, 0.45, 0.35)
    keep(path, 0.3, 0.2, limit=2, partial=("--limit 2",))
    schedule = {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}}
    for changes in ({"epochs": 2}, {"lr": 0.01}):
        keep(write_suite("other.yaml", seeds=[0, 1], schedule=schedule | changes), 0.3, 0.2)
    return path


def marks(text: str) -> list[str]:
    """What is said of a part, without the marks of a format."""
    plain = " ".join(re.sub(r"</?\w[^>]*>|[\\*]", "", text).replace("-{}-", "--").split())
    return re.findall(r"(?:PARTIAL RESULT|PART OF THE SUITE) \(.*?\)", plain)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("options", PARTS, ids=" ".join)
def test_marked_in_every_format(
    capsys: Capture, suite: Path, options: tuple[str, ...], format_: str
) -> None:
    _, whole, _ = invoke(capsys, "report", suite, "--format", format_)
    code, part, err = invoke(capsys, "report", suite, "--format", format_, *options)
    assert (code, err) == (0, "")
    assert marks(whole) == []
    if format_ == "csv":
        (mark,) = {row["partial"] or row["narrowed"] for row in csv.DictReader(io.StringIO(part))}
        assert mark.removeprefix("with ") == PARTS[options].partition("(")[2][:-1]
        cells = [(row["partial"], row["narrowed"]) for row in csv.DictReader(io.StringIO(whole))]
        assert {*cells} == {("", "")}
    elif format_ == "json":
        content = json.loads(part)
        assert f"({'; '.join(content['partial'] + content['narrowed'])})" in PARTS[options]
        assert (json.loads(whole)["partial"], json.loads(whole)["narrowed"]) == ([], [])
        assert marks(part) == [PARTS[options]]
    else:
        assert marks(part) == [PARTS[options]]


@pytest.mark.parametrize("options", PARTS, ids=" ".join)
def test_no_file_of_the_suite_is_replaced(
    capsys: Capture, suite: Path, options: tuple[str, ...]
) -> None:
    arguments = ("report", suite, "--format", "md,csv,json,latex,html", "--out", "out")
    assert invoke(capsys, *arguments).code == 0
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    assert invoke(capsys, *arguments, *options).code == 0
    assert {path: path.read_bytes() for path in before} == before
    assert {name for name in files() if name.startswith("out/")} == {
        f"out/small{kind}.{suffix}" for kind in ("", ".partial") for suffix in FORMATS.values()
        if suffix
    }  # fmt: skip
