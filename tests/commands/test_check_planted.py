"""Mistakes in the code that ``sobench check`` must find, as in ``tests/benchmarks/gate.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.benchmarks import gate
from tests.benchmarks.planted import MISTAKES
from tests.records import invoke, isolate
from tests.tiny_suite import CONTENT, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _mended() -> Iterator[None]:
    """The code as it was, after a test."""
    yield
    patch.stopall()


def test_mistakes_in_training_change_the_first_losses(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(tmp_path, monkeypatch)
    path = write_tiny(tmp_path, schedule=CONTENT["schedule"] | {"epochs": 1, "milestones": []})
    assert invoke(capsys, "check", path, "--record", "--seeds", "0,1").code == 0
    code, out, _ = invoke(capsys, "check", path, "--results", "unchanged")
    assert (code, "determinism: first losses: 1 pass" in out) == (0, True)
    for mistake, step in (("anchors", 1), ("learning-rate", 2)):
        MISTAKES[mistake]()
        code, out, _ = invoke(capsys, "check", path, "--results", mistake)
        assert code == 3
        assert f"fpn: first losses: seed 0, step {step} is the first to differ" in out
        patch.stopall()


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found_with_a_seed_of_the_baseline(mistake: str, tmp_path: Path) -> None:
    code, found = gate.check(Path("suites/gate.yaml"), tmp_path, "0", "ssd,fpn", mistake=mistake)
    assert code == 3, found


@pytest.mark.slow
def test_an_unchanged_tree_passes_with_a_new_seed(tmp_path: Path) -> None:
    seed = str(gate.NEW_SEED)
    assert gate.check(Path("suites/gate.yaml"), tmp_path, seed, "ssd,fpn") == (0, [])
