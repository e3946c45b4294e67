"""Several processes at one matrix: each run is held, waited for, and done once."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from sobench.cli import main
from sobench.locks import is_locked, locked
from sobench.runs import record
from sobench.runs.record import Record
from sobench.suite.reader import load
from tests.records import failed_record
from tests.runs.matrices import STUDENT, matrix, planned, small
from tests.tiny_suite import write_tiny


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


def test_a_run_is_held_until_its_last_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is only scored again or tested, and when its failure is recorded."""
    (run,) = planned(small("fpn"))
    writes: list[tuple[str, bool]] = []

    def spy(outcome: Record, folder: Path) -> None:
        writes.append((outcome.status, is_locked(run.folder(tmp_path))))
        write(outcome, folder)

    write = record.write
    monkeypatch.setattr(record, "write", spy)
    with monkeypatch.context() as patch:
        patch.setattr("sobench.runs.train.train", lambda *_, **__: 1 / 0)
        matrix(small("fpn"), tmp_path)
    assert writes == [("failed", True)]
    matrix(small("fpn"), tmp_path)
    assert writes[1:] == [("ok", True)]
    matrix(small("fpn", protocol="tiny"), tmp_path)
    assert writes[2:] == [("ok", True)]
    matrix(small("fpn", protocol="tiny", eval_sizes=[[64, 48]]), tmp_path)
    assert writes[3:] == [("ok", True)] * len(writes[3:])
    assert len(writes) > 3
    assert not is_locked(run.folder(tmp_path))


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    (run,) = planned(small("fpn"))
    folder = run.folder(tmp_path)
    folder.mkdir(parents=True)
    orphan = folder / ".record.json.elsewhere.123.0123abcd.tmp"
    orphan.touch()
    matrix(small("fpn"), tmp_path)
    assert not orphan.exists()


def test_a_teacher_that_another_process_trains_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small(STUDENT, "fpn")
    ((_, teacher),) = planned(suite)[0].requires
    lock = ExitStack()
    lock.enter_context(locked(teacher.folder(tmp_path)))
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            lock.close()  # the other process died

    monkeypatch.setattr("sobench.runs.matrix.sleep", wait)
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == recorder.order == ["fpn", "fpn 64x64", "student"]
    assert recorder.waited_for == [["fpn 64x64"], ["fpn 64x64"]]
    assert {outcome.status for outcome in records.values()} == {"ok"}


def test_what_another_process_did_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small(STUDENT, "fpn")
    (student, _) = planned(suite)
    ((_, teacher),) = student.requires
    _, elsewhere = matrix(suite, tmp_path / "elsewhere")
    lock = ExitStack()
    lock.enter_context(locked(teacher.folder(tmp_path)))

    def wait(_: float) -> None:
        """The other process trains the teacher, and fails at the student."""
        folder = teacher.folder(tmp_path)
        shutil.copytree(teacher.folder(tmp_path / "elsewhere"), folder, dirs_exist_ok=True)
        record.write(failed_record(student), student.folder(tmp_path))
        lock.close()

    monkeypatch.setattr("sobench.runs.matrix.sleep", wait)
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == recorder.fresh == ["fpn"]
    assert records["fpn 64x64"] == elsewhere["fpn 64x64"]
    assert records["student"].reason == "no luck"


def test_nobody_is_waited_for_when_the_wait_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sobench.runs.matrix.sleep", interrupted)
    path = write_tiny(tmp_path, methods=["fpn"])
    (run,) = planned(load(path))
    with locked(run.folder(tmp_path)), pytest.raises(SystemExit) as leaving:
        main(["run", str(path), "--results", str(tmp_path)])
    assert leaving.value.code == 130
    *_, waiting, last = filter(None, capsys.readouterr().err.splitlines())
    assert waiting.startswith("waiting for fpn seed 0, which another process trains (")
    assert last.startswith("interrupted")
