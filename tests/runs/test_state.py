"""One answer to how far a run is: from its files, and the same for plan, run and report."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import yaml

from sobench.data.fingerprint import fingerprint
from sobench.metrics.detections import DetectionRow, file_digest, write_rows
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Epoch, Record
from sobench.runs.state import RunState, read_records, read_states, state_of
from sobench.suite.plan import Run, plan
from sobench.suite.reader import load
from tests.records import failed_record, invoke, isolate, record_of, scored
from tests.tiny_suite import CONTENT, tiny_run

RESULTS = Path("results")
HISTORY = (Epoch(epoch=1, step=2, losses={"total": 0.5}),)
OLD = scored(0.4, protocol_version=0)
SIZES = {"eval_sizes": [[32, 32]]}


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def write_suite(**changes: Any) -> Path:
    """Four scenes to train on and two to validate, one epoch of two steps."""
    scenes = {"format": "synthetic", "train": 4, "val": 2, "size": [64, 64], "objects": [3, 6]}
    schedule = {"epochs": 1, "batch_size": 2, "lr": 0.005, "warmup": {"steps": 0}}
    path = Path("small.yaml")
    content = CONTENT | {"name": "small", "dataset": scenes, "schedule": schedule} | changes
    path.write_text(yaml.safe_dump(content))
    return path


def the_run(path: Path) -> tuple[Run, RunFolder]:
    suite = load(path)
    (run,) = plan(suite, fingerprint(suite.dataset))
    return run, RunFolder.of(run, RESULTS)


def write_checkpoint(folder: RunFolder, step: int = 2) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / f"checkpoint-{step:08d}-0123456789abcdef.pt").touch()


def write_outcome(run: Run, folder: RunFolder, **changes: Any) -> None:
    digests = {path.name: file_digest(path) for path in folder.path.glob("detections*")}
    values = {"history": HISTORY, "digests": digests} | changes
    record.write(record_of(run, **values), folder.path)


# Each puts files into the folder of a run.


def missing(run: Run, folder: RunFolder) -> None:
    record.write_settings(run, folder.path)
    (folder.path / "log.jsonl").touch()


def resumable(run: Run, folder: RunFolder) -> None:
    missing(run, folder)
    write_checkpoint(folder, 1)


def failed(run: Run, folder: RunFolder) -> None:
    resumable(run, folder)
    record.write(failed_record(run, "failed", "out of memory"), folder.path)


def diverged(run: Run, folder: RunFolder) -> None:
    resumable(run, folder)
    record.write(failed_record(run, "diverged", "the loss is not finite"), folder.path)


def done(run: Run, folder: RunFolder) -> None:
    missing(run, folder)
    write_checkpoint(folder)
    write_rows(folder.detections(), [])
    write_outcome(run, folder)


def scored_by_coco(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    write_outcome(run, folder, scored=scored(0.5, "coco"))


def scored_by_old_protocol(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    write_outcome(run, folder, scored=OLD)


def scored_by_old_protocol_without_detections(run: Run, folder: RunFolder) -> None:
    scored_by_old_protocol(run, folder)
    folder.detections().unlink()


def scored_by_old_protocol_with_other_detections(run: Run, folder: RunFolder) -> None:
    scored_by_old_protocol(run, folder)
    row = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}
    write_rows(folder.detections(), [cast(DetectionRow, row)])


def scored_by_old_protocol_with_detections_only(run: Run, folder: RunFolder) -> None:
    scored_by_old_protocol_with_other_detections(run, folder)
    for path in folder.path.glob("checkpoint-*"):
        path.unlink()


def damaged(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    folder.record.write_text(folder.record.read_text().replace("0.502", "0.902"))


def damaged_without_weights(run: Run, folder: RunFolder) -> None:
    damaged(run, folder)
    for path in folder.path.glob("checkpoint-*"):
        path.unlink()


def untested_without_weights(run: Run, folder: RunFolder) -> None:
    done(run, folder)
    for path in folder.path.glob("checkpoint-*"):
        path.unlink()


def untested_with_detections(run: Run, folder: RunFolder) -> None:
    untested_without_weights(run, folder)
    write_rows(folder.detections((32, 32)), [])
    write_outcome(run, folder)


def untested_with_detections_of_no_record(run: Run, folder: RunFolder) -> None:
    untested_without_weights(run, folder)
    write_rows(folder.detections((32, 32)), [])


Case = tuple[Callable[[Run, RunFolder], None], dict[str, Any], str, str]

CASES: dict[str, Case] = {
    # name: (what writes the folder, changes of the suite, state, reason)
    "missing": (missing, {}, "missing", ""),
    "resumable": (resumable, {}, "resumable", "checkpoint after step 1"),
    "failed": (failed, {}, "failed", "out of memory"),
    "diverged": (diverged, {}, "diverged", "the loss is not finite"),
    "done": (done, {}, "done", ""),
    "other protocol": (
        scored_by_coco, {"protocol": "tiny"}, "to score",
        "scored by coco v1 hotcoco, not by tiny v1 hotcoco",
    ),
    "other version": (
        scored_by_old_protocol, {}, "to score",
        "scored by coco v0 hotcoco, not by coco v1 hotcoco",
    ),
    "other engine": (
        done, {"engine": "pycocotools"}, "to score",
        "scored by coco v1 hotcoco, not by coco v1 pycocotools",
    ),
    "no detections to score": (
        scored_by_old_protocol_without_detections, {}, "resumable",
        "scored by coco v0 hotcoco, not by coco v1 hotcoco, and its detections are gone; "
        "checkpoint after step 2",
    ),
    "other detections": (
        scored_by_old_protocol_with_other_detections, {}, "resumable",
        "scored by coco v0 hotcoco, not by coco v1 hotcoco, and its detections are damaged; "
        "checkpoint after step 2",
    ),
    "other detections, no weights": (
        scored_by_old_protocol_with_detections_only, {}, "missing",
        "scored by coco v0 hotcoco, not by coco v1 hotcoco, and its detections are damaged",
    ),
    "damaged record": (
        damaged, {}, "resumable",
        "RECORD: the record is damaged: its content does not fit its digest; it is left out and "
        "made anew; checkpoint after step 2",
    ),
    "damaged record, no weights": (
        damaged_without_weights, {}, "missing",
        "RECORD: the record is damaged: its content does not fit its digest; it is left out and "
        "made anew",
    ),
    "untested": (done, SIZES, "to test", "not tested at 32x32"),
    "untested, detected": (untested_with_detections, SIZES, "to test", "not tested at 32x32"),
    "untested, detected by nobody knows": (
        untested_with_detections_of_no_record, SIZES, "missing",
        "not tested at 32x32, and its weights are gone",
    ),
    "untested, no weights": (
        untested_without_weights, SIZES, "missing",
        "not tested at 32x32, and its weights are gone",
    ),
}  # fmt: skip


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
    capsys: pytest.CaptureFixture[str], instead_of_training: list[str], case: str
) -> None:
    write, changes, name, reason = CASES.get(
        case, (resumable, {}, "locked", "another process is training it")
    )
    path = write_suite(**changes)
    run, folder = the_run(path)
    write(run, folder)
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
        assert re.search(r"^1 +fpn +0\.", report.out, re.MULTILINE)
    if reason:
        assert reason in (report.out if report.code == 0 else report.err)
    # run does only what the state asks for.
    expected = {"done": [], "diverged": [], "to score": ["score"], "to test": ["score"]}
    assert instead_of_training == expected.get(name, ["train"])
    assert ran.code == (0 if name in ("done", "to score", "to test") else 1)


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
    validate, resolve = Record.model_validate, settings_of.func

    def read(content: dict[str, Any]) -> Record:
        reads.append(content["run_id"])
        return validate(content)

    def count(run: Run) -> dict[str, Any]:
        settings.append(id(run))
        result: dict[str, Any] = resolve(run)
        return result

    monkeypatch.setattr(Record, "model_validate", read)
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
