"""One answer to how far a run is: from its files, and the same for plan, run and report."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.data.fingerprint import fingerprint
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record
from sobench.runs.state import RunState, read_records, read_states, state_of
from sobench.suite.plan import Run, plan
from sobench.suite.reader import load
from tests.records import failed_record, invoke, isolate, record_of
from tests.runs.run_states import (
    CASES,
    RESULTS,
    SIZES,
    diverged,
    done,
    failed,
    missing,
    resumable,
    scored_by_old_protocol,
    the_run,
    untested_without_weights,
    write_suite,
)
from tests.tiny_suite import tiny_run


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.mark.parametrize("case", CASES)
def test_state_from_the_files_of_a_run(case: str) -> None:
    write, changes, name, reason = CASES[case]
    run, folder = the_run(write_suite(**changes))
    write(run, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.path.iterdir()}
    state = read_states([run], RESULTS)[run.settings_id]
    assert (state.name, state.reason) == (name, reason.replace("RECORD", str(folder.record)))
    assert before == {path: path.stat().st_mtime_ns for path in folder.path.iterdir()}


def test_a_run_without_a_folder_is_missing() -> None:
    run, _ = the_run(write_suite())
    assert read_states([run], RESULTS) == {run.settings_id: RunState("missing")}
    assert not RESULTS.exists()


@pytest.mark.parametrize(
    ("write", "name"),
    [(missing, "locked"), (resumable, "locked"), (failed, "locked"), (done, "done"),
     (diverged, "diverged"), (scored_by_old_protocol, "to score")],
)  # fmt: skip
def test_locked_are_only_runs_that_are_to_be_trained(
    write: Callable[[Run, RunFolder], None], name: str
) -> None:
    run, folder = the_run(write_suite())
    write(run, folder)
    with folder.lock():
        assert read_states([run], RESULTS)[run.settings_id].name == name
    assert read_states([run], RESULTS)[run.settings_id].name == write.__name__.replace(
        "scored_by_old_protocol", "to score"
    )


@pytest.mark.parametrize("write", [done, resumable, failed, missing])
def test_the_state_is_the_same_without_the_data(write: Callable[[Run, RunFolder], None]) -> None:
    path = write_suite()
    run, folder = the_run(path)
    write(run, folder)
    (unknown,) = plan(load(path), "")
    assert read_states([unknown], RESULTS) == read_states([run], RESULTS)
    assert read_records([unknown], RESULTS) == read_records([run], RESULTS)


def test_present_scores_are_a_result_even_if_nothing_else_is_left() -> None:
    """Such as results that were copied without their checkpoints."""
    run, folder = the_run(write_suite(**SIZES))
    untested_without_weights(run, folder)
    folder.detections().unlink()
    state = read_states([run], RESULTS)[run.settings_id]
    assert (state.name, state.result) == ("missing", record.read(folder.path))
    scored_by_old_protocol(run, folder)
    assert read_states([run], RESULTS)[run.settings_id].result is None


def test_a_folder_that_may_not_be_entered_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_suite(methods=["fpn", "ssd"])
    suite = load(path)
    fpn, ssd = plan(suite, fingerprint(suite.dataset))
    done(ssd, RunFolder.of(ssd, RESULTS))

    def refuse(_: RunFolder) -> bool:
        raise PermissionError(13, "Permission denied", "results/.lock")

    monkeypatch.setattr(RunFolder, "is_locked", refuse)
    states = read_states([fpn, ssd], RESULTS)
    assert [state.name for state in states.values()] == ["failed", "done"]
    assert states[fpn.settings_id].reason == "results/.lock: Permission denied"


def test_a_partial_result_is_a_done_run() -> None:
    run = tiny_run()
    state = state_of(run, record_of(run, status="partial", reason="--limit 2"))
    assert state.name == "done"
    assert state.result is not None


# --- plan, run and report agree --------------------------------------------------------------


@pytest.fixture
def instead_of_training(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that a matrix makes instead of training, scoring and testing."""
    calls: list[str] = []

    def execute(run: Run, *_: object) -> Record:
        calls.append("train")
        return failed_record(run, "failed", "not trained here")

    def rescore(run: Run, results: Path, outcome: Record, *_: object) -> Record:
        del run, results
        calls.append("score")
        return outcome

    monkeypatch.setattr("sobench.runs.matrix.execute", execute)
    monkeypatch.setattr("sobench.runs.matrix.rescore", rescore)
    return calls


def planned_state(out: str) -> tuple[str, str]:
    """State and reason that ``plan`` printed of its one run."""
    (name,) = re.findall(r"^ *1 +fpn +0 +(\w[\w ]*?) +s0-", out, re.MULTILINE)
    reasons = re.findall(rf"^fpn seed 0: {name}: (.*)$", out, re.MULTILINE)
    return name, "".join(reasons)


@pytest.mark.parametrize("case", [*CASES, "locked"])
def test_plan_run_and_report_agree(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    instead_of_training: list[str],
    case: str,
) -> None:
    write, changes, name, reason = CASES.get(
        case, (resumable, {}, "locked", "another process is training it")
    )
    path = write_suite(**changes)
    run, folder = the_run(path)
    write(run, folder)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sobench.runs.matrix.sleep", interrupted)
    lock: AbstractContextManager[None] = folder.lock() if name == "locked" else nullcontext()
    with lock:
        plan_out = invoke(capsys, "plan", path)
        report = invoke(capsys, "report", path)
        ran = invoke(capsys, "run", path)
    # plan says the state.
    assert plan_out.code == 0
    reason = reason.replace("RECORD", str(folder.record))
    assert planned_state(plan_out.out) == (name, reason)
    # report shows a result if the run has present scores, and says the same reason.
    has_result = name in ("done", "to test") or case.startswith("untested")
    assert report.code == (0 if has_result else 4)
    if has_result:
        assert re.search(r"^ +[-1] +fpn +0\.", report.out, re.MULTILINE)
    if reason:
        assert reason in (report.out if report.code == 0 else report.err)
    # run does only what the state asks for.
    expected = {"to score": ["score"], "to test": ["score"]}
    nothing = name in ("done", "diverged", "locked")
    assert instead_of_training == ([] if nothing else expected.get(name, ["train"]))
    # Nothing is done in this test; for a run of another process it waits.
    assert ran.code == {"done": 0, "locked": 130}.get(name, 1)


# --- every record is read once ---------------------------------------------------------------


def test_a_finished_matrix_reads_each_record_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = ["ssd", "fpn", "pafpn", "libra", "nas_fpn", "refinedet", "ta_fpn", "mrae",
               {"name": "fpn", "label": "plain", "fuse": False},
               {"name": "libra", "label": "l1", "balanced_l1": False}]  # fmt: skip
    path = write_suite(methods=methods)
    suite = load(path)
    runs = plan(suite, fingerprint(suite.dataset))
    for run in runs:
        done(run, RunFolder.of(run, RESULTS))
    reads: list[str] = []
    settings: list[int] = []
    settings_of = Run.__dict__["settings"]
    validate, resolve = Record.model_validate_json, settings_of.func

    def read(content: bytes) -> Record:
        reads.append(json.loads(content)["run_id"])
        return validate(content)

    def count(run: Run) -> dict[str, Any]:
        settings.append(id(run))
        result: dict[str, Any] = resolve(run)
        return result

    monkeypatch.setattr(Record, "model_validate_json", read)
    monkeypatch.setattr(settings_of, "func", count)
    for command in ("plan", "report", "run"):
        reads.clear()
        settings.clear()
        outcome = invoke(capsys, command, path)
        assert outcome.code == 0, outcome.err
        assert sorted(reads) == sorted(run.id for run in runs), command
        assert len(settings) == len(set(settings)) == 10, command


def test_a_lock_is_seen_from_another_process() -> None:
    run, folder = the_run(write_suite())
    resumable(run, folder)
    context = torch.multiprocessing.get_context("fork")
    ready, leave = context.Event(), context.Event()

    def hold() -> None:
        with folder.lock():
            ready.set()
            leave.wait(30)

    process = context.Process(target=hold)
    process.start()
    try:
        assert ready.wait(30)
        assert read_states([run], RESULTS)[run.settings_id].name == "locked"
    finally:
        leave.set()
        process.join()
    assert read_states([run], RESULTS)[run.settings_id].name == "resumable"


def test_plan_and_run_tell_what_is_trained_anew_on_changed_data(
    capsys: pytest.CaptureFixture[str], instead_of_training: list[str]
) -> None:
    run, _ = the_run(write_suite())
    old = dataclasses.replace(run, data="aaaabbbbcccc")
    done(old, RunFolder.of(old, RESULTS))
    path = write_suite()
    told = (
        "the annotations or images changed since: 1 run of another state of the data, "
        f"aaaabbbbcccc, kept; trained anew on {run.data}: fpn seed 0"
    )
    assert told in invoke(capsys, "plan", path).out
    assert f"warning: {told}" in invoke(capsys, "run", path).err
    assert instead_of_training == ["train"]
    done(run, RunFolder.of(run, RESULTS))
    assert "trained anew" not in invoke(capsys, "plan", path).out
    assert "trained anew" not in invoke(capsys, "run", path).err
