"""A verdict is kept beside the runs, and never one of other results."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sobench.compare import verdict as verdict_file
from sobench.compare.kept_verdict import kept_or_new, verdict_places
from sobench.compare.verdict import Verdict, verdict
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.state import read_states
from sobench.suite.plan import Run, plan
from sobench.suite.protocols import PROTOCOLS
from tests.compare.matched_runs import keep_runs
from tests.tiny_suite import tiny_suite

QUALITY = {"ssd": 1.6, "fpn": 0.0, "pafpn": 0.1}
RUNS = plan(tiny_suite(methods=list(QUALITY), seeds=[0, 1]), "aaaa")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of three rows with two seeds, with their resamples, which no test may change."""
    results = tmp_path_factory.mktemp("results")
    keep_runs(RUNS, results, QUALITY)
    verdict(RUNS, read_states(RUNS, results), results)
    return results


@pytest.fixture
def results(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, and a cache folder of its own."""
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(kept, tmp_path / "results"))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows of every verdict that was computed."""
    calls: list[int] = []
    judge = verdict_file.judge

    def counted(*samples: dict[str, object]) -> Verdict:
        calls.append(len(samples[0]))
        return judge(*samples)  # type: ignore[arg-type]

    monkeypatch.setattr(verdict_file, "judge", counted)
    return calls


def found(results: Path, runs: list[Run] = RUNS) -> Verdict:
    return kept_or_new(runs, read_states(runs, results), results)


def test_what_is_kept_is_what_was_computed_to_the_last_digit(
    results: Path, computed: list[int]
) -> None:
    first, second = found(results), found(results)
    assert computed == [3]
    # Text, for NaN does not equal itself; in it a float of numpy is one of Python.
    assert repr(second).replace("nan", "?") == repr(first).replace("nan", "?")
    assert second.pairs.keys() == first.pairs.keys()


def change_detections(folder: RunFolder) -> None:
    outcome = record.read(folder.path)
    assert outcome is not None
    digests = {folder.detections().name: "1" * 64}
    record.write(outcome.model_copy(update={"digests": digests}), folder.path)


def change_a_score(folder: RunFolder) -> None:
    outcome = record.read(folder.path)
    assert outcome is not None
    ((name, scores),) = outcome.scores.items()
    other = scores.model_copy(update={"metrics": scores.metrics | {"AP": 0.5}})
    record.write(outcome.model_copy(update={"scores": {name: other}}), folder.path)


def lose_the_record(folder: RunFolder) -> None:
    folder.record.unlink()


@pytest.mark.parametrize("change", [change_detections, change_a_score, lose_the_record])
def test_other_results_are_judged_anew(
    results: Path, computed: list[int], change: Callable[[RunFolder], None]
) -> None:
    before = found(results)
    change(RunFolder.of(RUNS[0], results))
    after = found(results)
    assert len(computed) == 2
    assert repr(after) != repr(before)


@pytest.mark.parametrize("content", [b"", b"no digest", b"0" * 64 + b"\n{}"])
def test_a_damaged_file_is_made_anew(results: Path, computed: list[int], content: bytes) -> None:
    found(results)
    verdict_places(RUNS, results)[0].write_bytes(content)
    found(results)
    found(results)
    assert computed == [3, 3]


def test_a_part_of_the_rows_has_a_verdict_of_its_own(results: Path, computed: list[int]) -> None:
    part = [run for run in RUNS if run.entry.label != "ssd"]
    for _ in range(2):
        found(results)
        found(results, part)
    assert computed == [3, 2]


def test_results_that_cannot_be_written_leave_it_in_the_cache(
    results: Path, computed: list[int]
) -> None:
    place, instead = verdict_places(RUNS, results)
    place.mkdir()  # so that no file can take its place
    found(results)
    found(results)
    assert instead.is_file()
    assert computed == [3]


def test_a_full_disk_is_no_reason_for_a_report_to_fail(
    results: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = verdict_places(RUNS, results)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert found(results).labels
    assert computed == [3]
    assert not any(place.exists() for place in places)


def test_a_row_whose_matches_are_missing_is_looked_for_again(
    results: Path, computed: list[int]
) -> None:
    folder = RunFolder.of(RUNS[0], results)
    shutil.copytree(folder.path, results / "away")
    folder.matches(PROTOCOLS["coco"]).unlink()
    folder.bootstrap(PROTOCOLS["coco"]).unlink()
    assert len(found(results).untested) == 1
    shutil.copytree(results / "away", folder.path, dirs_exist_ok=True)
    assert not found(results).untested
    assert computed == [2, 3]
