"""Matches beside the records: written with the scores, made again without a training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sobench.compare.bootstrap import resample
from sobench.errors import DataError
from sobench.files import write_atomic
from sobench.metrics.detections import file_digest
from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import read_matches, write_matches
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.matches import LOST, UNMATCHED, matches_of, why_unmatched
from sobench.runs.search import folder_of
from sobench.runs.state import read_states
from sobench.suite.plan import Run, plan
from sobench.suite.protocols import PROTOCOLS
from tests.records import record_of
from tests.runs.matrices import Recorder, matrix, planned, small

SUITE = small("fpn")


def load_matches(run: Run, results: Path, data: str = "") -> Matches | None:
    """The matches of a run, planned with or without its data, beside the record that counts."""
    path = folder_of(run, results, data)
    outcome = record.read_sound(path)
    return None if outcome is None else matches_of(run, RunFolder(path), outcome)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    matrix(SUITE, results)
    return results


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def the_run(results: Path) -> tuple[Run, Path]:
    (run,) = planned(SUITE)
    return run, RunFolder.of(run, results).matches(PROTOCOLS["coco"])


def never(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train_run", "score_stored", "record.write"):
        monkeypatch.setattr(f"sobench.runs.execute.{name}", lambda *_, **__: 1 / 0)


def test_a_run_leaves_matches_that_give_its_scores(results: Path) -> None:
    run, path = the_run(results)
    state = read_states([run], results, check_matches=True)[run.settings_id]
    assert (state.name, state.is_unmatched) == ("done", False)
    matches = load_matches(run, results)
    assert matches is not None
    assert state.scores is not None
    whole = resample(matches, np.ones((2, 1))).metrics
    for name, value in state.scores.metrics.items():
        np.testing.assert_allclose(whole[name][0], np.array(value, np.float64), rtol=0, atol=1e-9)
    # Also without the data.
    (unknown,) = plan(SUITE, "")
    assert load_matches(unknown, results, run.data) is not None
    assert path.stat().st_size < 20_000


def remove(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def of_other_detections(path: Path) -> None:
    arrays = read_matches(path)
    object.__setattr__(arrays, "detections", "0" * 64)
    write_matches(path, arrays)


@pytest.mark.parametrize("change", [remove, damage, of_other_detections])
def test_what_is_gone_is_made_again_without_a_training(
    results: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    run, path = the_run(results)
    before = path.read_bytes()
    change(path)
    assert load_matches(run, results) is None
    state = read_states([run], results, check_matches=True)[run.settings_id]
    assert (state.name, state.is_unmatched) == ("done", True)
    assert state.result is not None
    never(monkeypatch)
    recorder, _ = matrix(SUITE, results)
    assert (recorder.order, recorder.fresh, recorder.warnings) == (["fpn"], [], [])
    assert path.read_bytes() == before


def test_without_detections_nothing_can_be_made(results: Path) -> None:
    run, path = the_run(results)
    path.unlink()
    RunFolder.of(run, results).detections().unlink()
    state = read_states([run], results, check_matches=True)[run.settings_id]
    assert (state.name, state.is_unmatched) == ("done", False)
    recorder, _ = matrix(SUITE, results)
    assert (recorder.fresh, recorder.warnings, path.exists()) == ([], [], False)


def test_matches_without_detections_hold(results: Path) -> None:
    run, _ = the_run(results)
    RunFolder.of(run, results).detections().unlink()
    assert load_matches(run, results) is not None


def test_another_protocol_is_matched_when_it_is_scored(results: Path) -> None:
    other = small("fpn", protocol="tiny")
    matrix(other, results)
    (run,) = planned(other)
    matches = load_matches(run, results)
    assert matches is not None
    assert matches.protocol == "tiny"
    assert load_matches(the_run(results)[0], results) is not None


@pytest.mark.parametrize("problem", [DataError("no such data"), OSError(5, "of the test", "file")])
def test_a_failure_to_match_is_told_and_harms_nothing(
    results: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise problem

    run, path = the_run(results)
    path.unlink()
    record = RunFolder.of(run, results).record.read_bytes()
    place = "matches.load_split" if isinstance(problem, DataError) else "matches.write_matches"
    monkeypatch.setattr(f"sobench.runs.{place}", fail)
    recorder, records = matrix(SUITE, results)
    assert records["fpn"].status == "ok"
    (warning,) = recorder.warnings
    assert warning.startswith(f"{run.name}: its detections are not matched: ")
    assert RunFolder.of(run, results).record.read_bytes() == record


def test_a_run_that_another_process_holds_is_done_all_the_same(results: Path) -> None:
    run, path = the_run(results)
    path.unlink()
    with RunFolder.of(run, results).lock():
        recorder, records = matrix(SUITE, results)
    assert records["fpn"].status == "ok"
    assert (recorder.fresh, recorder.waited_for) == ([], [])


def test_a_folder_that_cannot_be_written_is_read_all_the_same(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: RunFolder) -> None:
        raise PermissionError(13, "Permission denied", ".lock")

    _, path = the_run(results)
    path.unlink()
    monkeypatch.setattr(RunFolder, "lock", refuse)
    _, records = matrix(SUITE, results)
    assert records["fpn"].status == "ok"


def test_no_run_and_a_damaged_record(results: Path) -> None:
    run, _ = the_run(results)
    assert load_matches(run, results / "elsewhere") is None
    write_atomic(RunFolder.of(run, results).record, b"{")
    assert load_matches(run, results) is None


def test_half_written_matches_are_tidied_up(results: Path) -> None:
    _, path = the_run(results)
    path.unlink()
    orphan = path.with_name(f".{path.name}.host.1.0123abcd.tmp")
    orphan.touch()
    matrix(SUITE, results)
    assert path.exists()
    assert not orphan.exists()
    assert Recorder().warnings == []


def test_a_run_that_waits_for_a_further_test_is_matched_too(results: Path) -> None:
    _, path = the_run(results)
    path.unlink()
    tested = small("fpn", keep_background=[1])
    recorder, records = matrix(tested, results)
    assert (recorder.trained, list(records["fpn"].sizes)) == ([], ["background-1.0"])
    assert path.exists()


def test_why_matches_are_missing(tmp_path: Path) -> None:
    """A run can be matched again only from the detections that its record is of."""
    (run,) = plan(SUITE, "aaaa")
    folder = RunFolder.of(run, tmp_path)
    stored = folder.detections()
    write_atomic(stored, b"one")
    outcome = record_of(run, digests={stored.name: file_digest(stored) or ""})
    assert why_unmatched(folder, outcome) == UNMATCHED
    write_atomic(stored, b"of another data set")
    assert why_unmatched(folder, outcome) == LOST
    stored.unlink()
    assert why_unmatched(folder, outcome) == LOST
