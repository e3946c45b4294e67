"""Errors of the disk: a full one ends the command, others fail the run and name the file."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sobench.errors import DiskFull
from sobench.runs import record
from tests.records import invoke, isolate
from tests.runs.matrices import matrix, planned, small
from tests.tiny_suite import CONTENT, write_tiny

SHORT = CONTENT["schedule"] | {"epochs": 1, "milestones": []}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def failing(number: int) -> Any:
    """A function that fails as the system does, naming no file."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, "of the test")

    return fail


def break_log(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let lines fail to be written to the log."""
    broken = SimpleNamespace(dumps=failing(number), loads=json.loads)
    patch.setattr("sobench.training.state.json", broken)


def break_files(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let files fail to be flushed."""
    patch.setattr("sobench.files.os.fsync", failing(number))


@pytest.mark.parametrize("harm", [break_log, break_files])
def test_a_full_disk_ends_the_command_in_one_line_and_nothing_is_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[pytest.MonkeyPatch, int], None],
) -> None:
    suite = write_tiny(tmp_path, methods=["fpn", "pafpn"], schedule=SHORT)
    assert invoke(capsys, "data", suite).code == 0  # the cache is written
    with monkeypatch.context() as patch:
        harm(patch, errno.ENOSPC)
        outcome = invoke(capsys, "run", suite)
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert "the disk is full" in outcome.err.splitlines()[-1]
    assert "pafpn" not in outcome.err
    assert not list(Path("results").rglob("record.json"))
    assert not list(Path("results").rglob("*.tmp"))
    assert invoke(capsys, "run", suite).code == 0


def test_a_failure_that_cannot_be_recorded_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sobench.runs.train.train", lambda *_, **__: 1 / 0)
    matrix(small("fpn", "pafpn"), tmp_path)  # writes the cache
    break_files(monkeypatch, errno.EIO)
    recorder, records = matrix(small("fpn", "pafpn"), tmp_path)
    assert [outcome.status for outcome in records.values()] == ["failed"] * 2
    for run, warning in zip(planned(small("fpn", "pafpn")), recorder.warnings, strict=True):
        file = run.folder(tmp_path) / "run.json"
        assert records[run.entry.label].reason.startswith(f"{file}: of the test")
        assert f"{run.name}: the failure could not be recorded: " in warning
        assert f"{run.folder(tmp_path) / 'error.txt'}: of the test" in warning


def test_a_log_that_cannot_be_written_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        break_log(patch, errno.EIO)
        _, records = matrix(small("fpn"), tmp_path)
    (run,) = planned(small("fpn"))
    assert records["fpn"].status == "failed"
    assert f"{run.folder(tmp_path) / 'log.jsonl'}: of the test" in records["fpn"].reason


def test_a_folder_that_cannot_be_made_fails_its_run(tmp_path: Path) -> None:
    suite = small("fpn", "pafpn")
    (fpn, _) = planned(suite)
    place = fpn.folder(tmp_path).parent
    place.parent.mkdir(parents=True)
    place.touch()
    recorder, records = matrix(suite, tmp_path)
    assert {label: outcome.status for label, outcome in records.items()} == {
        "fpn": "failed", "pafpn": "ok",
    }  # fmt: skip
    assert str(place) in records["fpn"].reason
    assert recorder.trained == ["pafpn"]


def test_a_full_disk_is_no_failure_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only the scores or the further sizes of a finished run are written."""

    def full(*_: Any) -> None:
        raise DiskFull("no room")

    matrix(small("fpn"), tmp_path)
    (run,) = planned(small("fpn"))
    before = record.read(run.folder(tmp_path))
    monkeypatch.setattr(record, "write", full)
    for changes in ({"protocol": "tiny"}, {"eval_sizes": [[64, 48]]}):
        with pytest.raises(DiskFull):
            matrix(small("fpn", **changes), tmp_path)
    assert record.read(run.folder(tmp_path)) == before
