"""A suite of four small scenes in the working folder, with results, and the printed plan of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sobench.runs import record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.records import invoke, record_of
from tests.tiny_suite import CONTENT

Capture = pytest.CaptureFixture[str]
DATA = "aaaabbbbcccc"
BOTH = ["fpn", "ssd"]


def write_suite(file: str = "small.yaml", **changes: Any) -> Path:
    """Four small scenes to train on and two to validate, in the working folder."""
    scenes = {"format": "synthetic", "train": 4, "val": 2, "size": [64, 64], "objects": [3, 6]}
    schedule = {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}}
    content = CONTENT | {"name": "small", "dataset": scenes, "schedule": schedule, "methods": BOTH}
    path = Path(file)
    path.write_text(yaml.safe_dump(content | changes))
    return path


def keep(
    path: Path,
    *aps: float,
    limit: int | None = None,
    partial: tuple[str, ...] = (),
    data: str = DATA,
) -> None:
    """Results of the suite's first runs, as if they had been trained for."""
    for run, ap in zip(plan(load(path), data, limit, partial), aps, strict=False):
        record.write(record_of(run, ap), run.folder(Path("results")))


def files() -> set[str]:
    return {path.as_posix() for path in Path().rglob("*")}


def run_ids(out: str) -> dict[str, str]:
    """Label -> id, from what ``plan`` printed."""
    return dict(re.findall(r"^ *\d+ +(\S+) .* (s\d+-[0-9a-f]{12}) ", out, re.MULTILINE))


def check_refusal(capsys: Capture, words: str, *arguments: str | Path) -> None:
    """Exit code 2, a short message, and nothing written."""
    before = files()
    code, out, err = invoke(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert words in err
    assert 1 <= len(err.splitlines()) <= 2
    assert "Traceback" not in err
    assert files() == before
