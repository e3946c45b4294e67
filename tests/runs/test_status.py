"""How far runs are by their files, while others work on them and after they were stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sobench.locks import locked
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.status import RunStatus, found_status, planned_status, seconds_left
from sobench.runs.training_log import TrainingProgress, read_log, training_progress
from sobench.suite.plan import Run
from tests.records import isolate
from tests.runs.run_states import (
    CASES,
    RESULTS,
    damaged,
    missing,
    resumable,
    the_run,
    write_checkpoint,
    write_suite,
)

NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def log(folder: RunFolder, *steps: int, **changes: Any) -> None:
    rows = [{"step": s, "epoch": 1, "lr": 0.1, "losses": {"total": s / 10}} for s in steps]
    folder.log.write_text("".join(json.dumps(row | changes) + "\n" for row in rows))


def written_at(path: Path, time: float) -> None:
    os.utime(path, (time, time))


def begun(steps: int = 100) -> RunFolder:
    """A training that wrote its settings at ``NOW``."""
    run, folder = the_run(write_suite())
    record.write_settings(run, folder.path, steps)
    written_at(folder.settings, NOW)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_planned_runs_have_the_state_of_the_plan(case: str) -> None:
    write, changes, name, reason = CASES[case]
    run, folder = the_run(write_suite(**changes))
    write(run, folder)
    (status,) = planned_status([run], RESULTS)
    assert status.name == ("waiting" if name == "missing" else name)
    assert status.reason == reason.replace("RECORD", str(folder.record))
    assert status.folder == folder.path
    # Without the suite, what it asks for beyond a result is not known.
    (found,) = found_status(RESULTS)
    assert (found.suite, found.row, found.seed) == ("small", "fpn", 0)
    if name not in ("to score", "to test") and not changes:
        expected = {"missing": "waiting", "resumable": "resumable"}.get(name, name)
        assert found.name == ("done" if "scored by" in reason else expected)


def test_a_run_that_another_process_holds_is_running() -> None:
    run, folder = the_run(write_suite())
    resumable(run, folder)
    log(folder, 1)
    with locked(folder.path):
        for statuses in (planned_status([run], RESULTS), found_status(RESULTS)):
            assert [(s.name, s.reason) for s in statuses] == [("running", "")]
            assert statuses[0].progress is not None
            assert (statuses[0].progress.step, statuses[0].progress.steps) == (1, 2)
    (status,) = planned_status([run], RESULTS)
    assert status.name == "resumable"
    assert status.progress is not None  # how far it is when it goes on


def test_time_left_is_by_the_speed_of_the_session() -> None:
    folder = begun(steps=100)
    log(folder, 10, 20)
    written_at(folder.log, NOW + 40)
    assert training_progress(folder) == TrainingProgress(20, 100, 1, 2.0, 160.0, NOW + 40)


def test_what_an_earlier_session_did_is_not_speed() -> None:
    folder = begun(steps=100)
    write_checkpoint(folder, 60)
    (checkpoint,) = folder.path.glob("checkpoint-*")
    written_at(checkpoint, NOW - 3600)
    log(folder, 60, 70)
    written_at(folder.log, NOW + 40)
    progress = training_progress(folder)
    assert progress is not None
    assert progress.seconds_left == 30 * 40 / 10
    # Resumed, and no step of this session logged yet.
    log(folder, 60)
    written_at(folder.log, NOW + 1)
    progress = training_progress(folder)
    assert progress is not None
    assert (progress.step, progress.seconds_left) == (60, None)


def test_checkpoints_of_the_session_are_points_of_its_clock() -> None:
    folder = begun(steps=1000)
    for step, time in ((500, NOW + 1000), (600, NOW + 1100)):
        write_checkpoint(folder, step)
        (path,) = folder.path.glob(f"checkpoint-*{step}-*")
        written_at(path, time)
    log(folder, 700)
    written_at(folder.log, NOW + 1200)
    progress = training_progress(folder)
    assert progress is not None
    assert progress.seconds_left == 300 * 200 / 200


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00junk\n", b"[1, 2]\n", b'{"step": "x", "epoch": 1, "losses": {}}\n',
     b'{"step": 3, "epoch": 1, "lr": 0.1, "loss', b"[" * 10000],
    ids=["empty", "junk", "list", "text", "cut", "deep"],
)  # fmt: skip
def test_a_damaged_log_tells_nothing(content: bytes) -> None:
    folder = begun()
    folder.log.write_bytes(content)
    progress = training_progress(folder)
    assert progress is not None
    assert (progress.step, progress.loss, progress.seconds_left) == (0, None, None)
    assert list(read_log(folder.log)) == []


def test_a_line_that_is_being_written_is_left_out() -> None:
    folder = begun()
    log(folder, 10, 20)
    with folder.log.open("ab") as file:
        file.write(b'{"step": 30, "ep')
    progress = training_progress(folder)
    assert progress is not None
    assert progress.step == 20
    assert [row["step"] for row in read_log(folder.log)] == [10, 20]


def test_settings_of_earlier_versions_do_not_name_the_steps() -> None:
    folder = begun()
    content = json.loads(folder.settings.read_bytes())
    del content["steps"]
    folder.settings.write_text(json.dumps(content))
    log(folder, 10)
    progress = training_progress(folder)
    assert progress is not None
    assert (progress.step, progress.steps, progress.seconds_left) == (10, None, None)


@pytest.mark.parametrize("content", [b"", b"null", b"\xff", b'{"label": 1}'])
def test_a_folder_whose_files_do_not_tell_is_named_by_its_place(content: bytes) -> None:
    run, folder = the_run(write_suite())
    missing(run, folder)
    folder.settings.write_bytes(content)
    (status,) = found_status(RESULTS)
    assert (status.suite, status.row, status.seed, status.name) == ("small", "fpn", 0, "waiting")


def test_a_damaged_record_is_named() -> None:
    run, folder = the_run(write_suite())
    damaged(run, folder)
    (status,) = found_status(RESULTS)
    assert status.name == "resumable"
    assert status.reason.startswith(f"{folder.record}: the record is damaged")


def running(left: float | None, step: int = 50) -> RunStatus:
    progress = TrainingProgress(step, 100, 1, 1.0, left, NOW)
    return RunStatus("small", "fpn", 0, Path(), "running", progress=progress)


def waiting() -> RunStatus:
    return RunStatus("small", "fpn", 0, Path(), "waiting")


def finished(seconds: float) -> RunStatus:
    return RunStatus("small", "fpn", 0, Path(), "done", train_s=seconds)


@pytest.mark.parametrize(
    ("statuses", "seconds"),
    [
        ([running(10)], 10),
        ([running(None)], None),
        ([finished(5), waiting()], None),
        ([running(10), waiting()], 10 + 20),
        ([running(10), waiting(), finished(40), finished(60)], 10 + 50),
        ([running(10), running(30), waiting(), finished(40)], (10 + 30 + 40) / 2),
    ],
)
def test_time_left_of_a_matrix(statuses: list[RunStatus], seconds: float | None) -> None:
    assert seconds_left(statuses) == seconds


def test_a_plan_of_runs_without_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Run = the_run(write_suite())[0]
    assert [status.name for status in planned_status([run], RESULTS)] == ["waiting"]
    assert found_status(RESULTS) == []
    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    assert found_status(RESULTS) == []
