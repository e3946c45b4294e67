"""A run never mixes two states of its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from sobench.data.cache import cache_folder
from sobench.data.fingerprint import fingerprint
from sobench.errors import DataError
from sobench.runs.execute import execute, rescore
from sobench.runs.record import Record
from sobench.suite.plan import plan
from tests.runs.matrices import CPU, Recorder, small


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


def test_data_that_changed_after_the_plan_are_not_trained_on(tmp_path: Path) -> None:
    (run,) = plan(small("fpn"), "0123456789ab")
    with pytest.raises(DataError, match=r"has changed since this command began .*0123456789ab"):
        execute(run, tmp_path, CPU, Recorder())
    assert not list(cache_folder().glob("*.images"))


def test_nor_are_they_scored_on(tmp_path: Path) -> None:
    suite = small("fpn")
    (run,) = plan(suite, fingerprint(suite.dataset))
    outcome: Record = execute(run, tmp_path, CPU, Recorder())
    (changed,) = plan(suite, "0123456789ab")
    unscored = outcome.model_copy(update={"scores": {}})
    assert (
        "has changed since this command"
        in rescore(changed, tmp_path, unscored, CPU, Recorder()).reason
    )
