"""Resampled metrics beside the matches: computed once, and never those of something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sobench.compare.bootstrap import resample
from sobench.compare.resampled import resampled_of
from sobench.data.dataset import FloatArray
from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import Arrays, write_arrays, write_matches
from sobench.metrics.weighted import Weighted
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from tests.metrics.scoring_cases import COCO, match, random_case
from tests.records import record_of
from tests.stored_rows import write_rows
from tests.tiny_suite import tiny_run


def load_resampled(
    run: Run, results: Path, resamples: int = 1000, seed: int = 0
) -> Weighted | None:
    """The resampled metrics of a run from what lies in its folder."""
    folder = RunFolder.of(run, results)
    outcome = record.read_sound(folder.path)
    return None if outcome is None else resampled_of(run, folder, outcome, resamples, seed)


def matched(run: Run, results: Path, case: int = 0) -> Path:
    """A run with detections and matches; its folder."""
    dataset, rows = random_case(case)
    folder = RunFolder.of(run, results)
    path = folder.detections()
    digest = write_rows(path, rows)
    write_matches(folder.matches(COCO), match(dataset, rows, COCO, digest))
    images = {"train": 1, "val": len(dataset.images)}
    record.write(record_of(run, digests={path.name: digest}, images=images), folder.path)
    return folder.path


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of resamples that were computed."""
    calls: list[int] = []

    def counted(matches: Matches, weights: FloatArray) -> Weighted:
        calls.append(weights.shape[1])
        return resample(matches, weights)

    monkeypatch.setattr("sobench.compare.resampled.resample", counted)
    return calls


def assert_equal(one: Weighted | None, other: Weighted | None) -> None:
    assert one is not None
    assert other is not None
    for a, b in ((one.metrics, other.metrics), (one.per_class, other.per_class)):
        assert list(a) == list(b)
        for name, values in a.items():
            np.testing.assert_array_equal(values, b[name])
    assert one.holding == other.holding
    np.testing.assert_array_equal(one.class_holding, other.class_holding)


def test_they_are_computed_once(tmp_path: Path, computed: list[int]) -> None:
    run = tiny_run()
    matched(run, tmp_path)
    first = load_resampled(run, tmp_path, 20)
    assert_equal(load_resampled(run, tmp_path, 20), first)
    assert computed == [20]
    assert first is not None
    assert first.metrics["AP"].shape == (20,)
    assert first.per_class["AP"].shape == (20, 4)


def test_another_number_seed_or_outcome_is_computed_anew(
    tmp_path: Path, computed: list[int]
) -> None:
    run = tiny_run()
    matched(run, tmp_path)
    first = load_resampled(run, tmp_path, 20)
    more = load_resampled(run, tmp_path, 30)
    assert more is not None
    assert first is not None
    np.testing.assert_array_equal(more.metrics["AP"][:20], first.metrics["AP"])
    load_resampled(run, tmp_path, 30, seed=1)
    matched(run, tmp_path, case=1)
    load_resampled(run, tmp_path, 30, seed=1)
    assert computed == [20, 30, 30, 30]


@pytest.mark.parametrize("content", [b"", b"PK", None])
def test_a_damaged_file_is_computed_anew(
    tmp_path: Path, computed: list[int], content: bytes | None
) -> None:
    run = tiny_run()
    path = RunFolder(matched(run, tmp_path)).bootstrap(PROTOCOLS["coco"])
    first = load_resampled(run, tmp_path, 20)
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    assert_equal(load_resampled(run, tmp_path, 20), first)
    assert computed == [20, 20]


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    run = tiny_run()
    matched(run, tmp_path)
    monkeypatch.setattr("sobench.compare.resampled.write_arrays", refuse)
    assert_equal(load_resampled(run, tmp_path, 20), load_resampled(run, tmp_path, 20))
    assert computed == [20, 20]


def test_of_a_folder_that_cannot_be_written_they_are_kept_in_the_cache(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    results, cache = tmp_path / "results", tmp_path / "cache"
    run = tiny_run()
    folder = matched(run, results)
    monkeypatch.setenv("SOBENCH_CACHE", str(cache))

    def refuse(path: Path, arrays: Arrays) -> None:
        if results in path.parents:
            raise OSError(30, "Read-only file system")
        write_arrays(path, arrays)

    monkeypatch.setattr("sobench.compare.resampled.write_arrays", refuse)
    first = load_resampled(run, results, 20)
    assert_equal(load_resampled(run, results, 20), first)
    assert computed == [20]
    assert len(list(cache.rglob("*.npz"))) == 1
    assert not list(folder.glob("bootstrap*"))
    matched(run, results, case=1)  # other detections
    load_resampled(run, results, 20)
    assert computed == [20, 20]


def test_without_matches_or_record_there_are_none(tmp_path: Path) -> None:
    run = tiny_run()
    assert load_resampled(run, tmp_path) is None
    RunFolder(matched(run, tmp_path)).matches(COCO).unlink()
    assert load_resampled(run, tmp_path) is None
