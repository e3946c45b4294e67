"""Runs that require runs: trained once, shared, and their failure is the reason of others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.errors import Diverged
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.training import checkpoint
from sobench.training.checkpoint_files import list_checkpoints, step_of
from sobench.training.data import TrainingData
from sobench.training.loop import train
from sobench.training.progress import TrainProgress
from tests.runs.matrices import STUDENT, TEACHER, board_of, matrix, planned, small


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


def test_a_teacher_is_trained_once_before_its_students_and_not_again(tmp_path: Path) -> None:
    suite = small(STUDENT, {"name": "zoominnet"}, "fpn")
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == ["fpn 64x64", "student", "zoominnet", "fpn"]
    assert {outcome.status for outcome in records.values()} == {"ok"}
    teacher = records["fpn 64x64"]
    for label in ("student", "zoominnet"):
        assert records[label].requires == {"teacher": teacher.run_id}
        cost, of_teacher = records[label].cost, teacher.cost
        assert cost is not None
        assert of_teacher is not None
        assert cost.required_s == cost.extra_s == of_teacher.train_s
    board = board_of(suite, records.values())
    assert set(board.table["method"]) == {"student", "zoominnet", "fpn"}
    again, same = matrix(suite, tmp_path)
    assert again.order == ["student", "zoominnet", "fpn"]
    assert again.fresh == []
    assert same == {label: records[label] for label in same}


def test_a_row_that_is_the_teacher_is_shared(tmp_path: Path) -> None:
    recorder, records = matrix(small(STUDENT, TEACHER), tmp_path)
    assert recorder.trained == ["big", "student"]
    assert records["student"].requires == {"teacher": records["big"].run_id}
    alone, _ = matrix(small(STUDENT), tmp_path)
    assert alone.trained == []


def test_a_teacher_is_not_asked_for_when_its_students_are_done(tmp_path: Path) -> None:
    _, records = matrix(small(STUDENT), tmp_path)
    shutil.rmtree(tmp_path / "tiny" / "fpn" / records["fpn 64x64"].run_id)
    recorder, _ = matrix(small(STUDENT), tmp_path)
    assert recorder.order == ["student"]
    assert recorder.fresh == []


def test_the_damaged_record_of_a_teacher_that_nobody_asks_for_is_not_made_anew(
    tmp_path: Path,
) -> None:
    _, records = matrix(small(STUDENT), tmp_path)
    teacher = RunFolder(tmp_path / "tiny" / "fpn" / records["fpn 64x64"].run_id)
    teacher.record.write_text("{}")
    recorder, again = matrix(small(STUDENT), tmp_path)
    assert (list(again), recorder.trained, recorder.warnings) == (["student"], [], [])
    deviating = {"schedule.lr": 1e-6, "reason": "a test"}
    tuned = STUDENT | {"label": "tuned", "init_from": "student", "deviations": deviating}
    _, further = matrix(small(STUDENT, tuned), tmp_path)
    assert {outcome.status for outcome in further.values()} == {"ok"}


def test_a_finished_teacher_without_weights_is_trained_again_for_a_new_student(
    tmp_path: Path,
) -> None:
    matrix(small(TEACHER), tmp_path)
    (folder,) = (tmp_path / "tiny" / "fpn").iterdir()
    for path in list_checkpoints(folder):
        path.unlink()
    assert matrix(small(TEACHER), tmp_path)[0].trained == []
    recorder, records = matrix(small(TEACHER, STUDENT), tmp_path)
    assert recorder.trained == ["big", "student"]
    assert records["student"].status == "ok"


def test_a_failed_teacher_fails_its_students_with_its_reason_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(detector: Any, data: TrainingData, *others: Any, **more: Any) -> Any:
        if data.input.size == (64, 64):
            raise RuntimeError("out of memory")
        return train(detector, data, *others, **more)

    monkeypatch.setattr("sobench.runs.train.train", failing)
    suite = small(STUDENT, "fpn")
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == ["fpn"]
    assert {label: outcome.status for label, outcome in records.items()} == {
        "fpn 64x64": "failed", "student": "failed", "fpn": "ok",
    }  # fmt: skip
    assert records["student"].reason.startswith(
        "needs fpn 64x64 seed 0, which is not done: failed: RuntimeError: out of memory"
    )
    monkeypatch.undo()
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == ["fpn 64x64", "student"]
    assert records["student"].status == "ok"


def test_a_diverged_teacher_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(*_: Any, **__: Any) -> Any:
        raise Diverged("the loss is not finite")

    monkeypatch.setattr("sobench.runs.train.train", diverging)
    suite = small(STUDENT)
    for fresh in (["fpn 64x64", "student"], ["student"]):  # the student is tried, to no avail
        recorder, records = matrix(suite, tmp_path)
        assert recorder.fresh == fresh
        assert records["fpn 64x64"].status == "diverged"
        assert records["student"].status == "failed"
        reason = "fpn 64x64 seed 0, which is not done: diverged: the loss is"
        assert reason in records["student"].reason


def test_weights_of_a_training_that_began_anew_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher is done, its weights are lost, and the training that replaces them is killed."""
    suite = small(TEACHER)
    _, records = matrix(suite, tmp_path)
    folder = tmp_path / "tiny" / "fpn" / records["big"].run_id
    for path in list_checkpoints(folder):
        path.unlink()

    def killed(*arguments: Any, **options: Any) -> Any:
        def stop(progress: TrainProgress) -> None:
            if progress.step == 2:
                raise KeyboardInterrupt

        return train(*arguments, **options | {"on_step": stop, "checkpoint_seconds": 0})

    monkeypatch.setattr("sobench.runs.train.train", killed)
    with pytest.raises(KeyboardInterrupt):
        matrix(small(TEACHER, STUDENT), tmp_path)
    assert [step_of(path) for path in list_checkpoints(folder)] == [1]
    monkeypatch.setattr("sobench.runs.train.train", train)
    recorder, again = matrix(small(TEACHER, STUDENT), tmp_path)
    assert recorder.order == ["big", "student"]
    assert recorder.fresh == ["big", "student"]
    assert again["big"].scores == records["big"].scores
    assert [step_of(path) for path in list_checkpoints(folder)] == [2]


def test_what_is_trained_again_gets_what_it_requires(tmp_path: Path) -> None:
    deviating = {"schedule.lr": 1e-6, "reason": "a test"}
    tuned = {"name": "efpn", "label": "tuned", "init_from": "efpn", "deviations": deviating}
    _, records = matrix(small("efpn"), tmp_path)
    shutil.rmtree(tmp_path / "tiny" / "fpn")
    for path in list_checkpoints(tmp_path / "tiny" / "efpn" / records["efpn"].run_id):
        path.unlink()
    recorder, again = matrix(small("efpn", tuned), tmp_path)
    assert recorder.trained == ["fpn", "efpn", "fpn for tuned", "tuned"]
    assert {outcome.status for outcome in again.values()} == {"ok"}
    seconds = {label: outcome.cost.train_s or 0 for label, outcome in again.items() if outcome.cost}
    cost = again["tuned"].cost
    assert cost is not None
    before = seconds["fpn"] + seconds["efpn"] + seconds["fpn for tuned"]
    assert cost.required_s == pytest.approx(before)
    # Of all its trainings one is a baseline's, as every method's.
    assert cost.extra_s == pytest.approx(before + seconds["tuned"] - seconds["fpn for tuned"])


def test_what_two_needs_share_costs_once(tmp_path: Path) -> None:
    twin = {"name": "zoominnet", "label": "twin", "align": "la", "init_from": "student",
            "lambda_mode": "fixed"}  # fmt: skip
    _, records = matrix(small(STUDENT, twin), tmp_path)
    costs = {label: outcome.cost for label, outcome in records.items()}
    teacher, student, last = costs["fpn 64x64"], costs["student"], costs["twin"]
    assert teacher is not None
    assert student is not None
    assert last is not None
    seconds = (teacher.train_s or 0) + (student.train_s or 0)
    assert last.required_s == pytest.approx(seconds)


def test_a_failed_repetition_leaves_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, records = matrix(small(TEACHER), tmp_path)
    folder = tmp_path / "tiny" / "fpn" / records["big"].run_id
    for path in list_checkpoints(folder):
        path.unlink()
    monkeypatch.setattr("sobench.runs.train.train", lambda *_, **__: 1 / 0)
    _, again = matrix(small(TEACHER, STUDENT), tmp_path)
    assert again["big"].status == again["student"].status == "failed"
    assert record.read(folder) == records["big"]


def test_a_row_starts_from_the_weights_of_another(tmp_path: Path) -> None:
    tuned = {
        "name": "fpn", "label": "tuned", "init_from": "big",
        "deviations": {"schedule.lr": 1e-30, "schedule.weight_decay": 0, "reason": "a test"},
    }  # fmt: skip
    recorder, records = matrix(small(tuned, TEACHER, backbone={"freeze": ()}), tmp_path)
    assert recorder.trained == ["big", "tuned"]
    states = []
    for label in ("big", "tuned"):
        state = checkpoint.load_newest(tmp_path / "tiny" / "fpn" / records[label].run_id, print)
        assert state is not None
        states.append(state["model"])
    for name, value in states[0].items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, states[1][name]), name
    cost, origin = records["tuned"].cost, records["big"].cost
    assert cost is not None
    assert origin is not None
    assert cost.extra_s == origin.train_s


def test_seeds_of_a_row_have_one_id() -> None:
    plan_of_both = planned(small(STUDENT, "fpn", seeds=[0, 1]))
    ids = [run.row_id for run in plan_of_both]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2
