"""A run never mixes two states of its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from sobench.data.annotations import Split
from sobench.data.cache_folder import cache_folder
from sobench.data.dataset import Dataset
from sobench.errors import DataError
from sobench.runs.execute import execute, rescore
from sobench.runs.splits import load_split
from sobench.suite.plan import Run, plan
from tests.runs.matrices import CPU, TEACHER, Recorder, matrix, planned, small


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
    outcome = matrix(suite, tmp_path)[1]["fpn"]
    (changed,) = plan(suite, "0123456789ab")
    unscored = outcome.model_copy(update={"scores": {}})
    assert (
        "has changed since this command"
        in rescore(changed, tmp_path, unscored, CPU, Recorder()).reason
    )


def test_images_that_are_cached_do_not_hide_other_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small("fpn")
    (run,) = planned(suite)
    matrix(suite, tmp_path)
    monkeypatch.setattr("sobench.data.fingerprint.fingerprint", lambda *_, **__: "another")
    with pytest.raises(DataError, match="now another"):
        execute(run, tmp_path, CPU, Recorder())


def test_nor_tested_at_other_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the data change after the val split was read, and its images are in the cache."""
    matrix(small(TEACHER), tmp_path)
    outcome = matrix(small("fpn"), tmp_path)[1]["fpn"]
    (run,) = planned(small("fpn", eval_sizes=[[64, 64]]))
    now = [run.data]

    def changing(run: Run, split: Split) -> Dataset:
        now[0] = "another" if split == "train" else run.data
        return load_split(run, split)

    monkeypatch.setattr("sobench.data.fingerprint.fingerprint", lambda *_, **__: now[0])
    monkeypatch.setattr("sobench.runs.evaluate.load_split", changing)
    recorder = Recorder()
    assert rescore(run, tmp_path, outcome, CPU, recorder).sizes == {}
    assert "now another" in recorder.warnings[0]
