"""Runs that require runs: trained once, shared, and their failure is the dependant's reason."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.data.fingerprint import fingerprint
from sobench.data.load import load
from sobench.data.resize import box_wh, resize
from sobench.errors import Diverged, RequestError
from sobench.files import locked
from sobench.metrics.detections import read_rows, write_rows
from sobench.models.build import build_detector
from sobench.runs import record
from sobench.runs.detect import detect
from sobench.runs.matrix import run_matrix
from sobench.runs.record import Record
from sobench.suite.plan import Run, plan
from sobench.suite.sections import Input, Suite
from sobench.training import checkpoint
from sobench.training.checkpoint_files import list_checkpoints, step_of
from sobench.training.loop import TrainingData, train
from sobench.training.progress import TrainProgress
from tests.records import states_of
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")
STUDENT = {"name": "zoominnet", "label": "student", "align": "la"}
TEACHER = {"name": "fpn", "label": "big", "deviations": {"input.size": [64, 64], "reason": "a"}}


class Recorder:
    """Notes by label which runs were begun, trained and freshly done."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.fresh: list[str] = []
        self.trained: list[str] = []
        self.warnings: list[str] = []

    def on_run_start(self, run: Run, number: int, total: int) -> None:
        assert 1 <= number <= total
        self.order.append(run.entry.label)

    def on_run_end(self, run: Run, record: Record, fresh: bool) -> None:
        assert record.run_id == run.id
        self.fresh += [run.entry.label] if fresh else []

    def on_step(self, progress: TrainProgress) -> None:
        if progress.step == 1:
            self.trained.append(self.order[-1])

    def on_stage(self, text: str) -> None: ...
    def on_images(self, done: int, total: int) -> None: ...

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


def small(*methods: Any, **changes: Any) -> Suite:
    return tiny_suite(
        dataset={"train": 4, "val": 2},
        input={"size": [32, 32]},
        schedule={"epochs": 1, "milestones": []},
        methods=list(methods),
        **changes,
    )


def planned(suite: Suite, **options: Any) -> list[Run]:
    return plan(suite, fingerprint(suite.dataset), **options)


def board_of(suite: Suite, records: Iterable[Record]) -> Leaderboard:
    runs = planned(suite)
    return leaderboard.build(runs, states_of(runs, records))


def matrix(suite: Suite, results: Path, **options: Any) -> tuple[Recorder, dict[str, Record]]:
    recorder = Recorder()
    records = run_matrix(planned(suite, **options), results, CPU, recorder)
    return recorder, {outcome.label: outcome for outcome in records}


def test_a_teacher_is_trained_once_before_its_students_and_not_again(tmp_path: Path) -> None:
    suite = small(STUDENT, {"name": "zoominnet"}, "fpn")
    recorder, found = matrix(suite, tmp_path)
    assert recorder.trained == ["fpn 64x64", "student", "zoominnet", "fpn"]
    assert {outcome.status for outcome in found.values()} == {"ok"}
    teacher = found["fpn 64x64"]
    for label in ("student", "zoominnet"):
        assert found[label].requires == {"teacher": teacher.run_id}
        cost, of_teacher = found[label].cost, teacher.cost
        assert cost is not None
        assert of_teacher is not None
        assert cost.required_s == cost.extra_s == of_teacher.train_s
    board = board_of(suite, found.values())
    assert set(board.table["method"]) == {"student", "zoominnet", "fpn"}
    again, same = matrix(suite, tmp_path)
    assert again.order == ["student", "zoominnet", "fpn"]
    assert again.fresh == []
    assert same == {label: found[label] for label in same}


def test_a_row_that_is_the_teacher_is_shared(tmp_path: Path) -> None:
    recorder, found = matrix(small(STUDENT, TEACHER), tmp_path)
    assert recorder.trained == ["big", "student"]
    assert found["student"].requires == {"teacher": found["big"].run_id}
    alone, _ = matrix(small(STUDENT), tmp_path)
    assert alone.trained == []


def test_a_teacher_is_not_asked_for_when_its_students_are_done(tmp_path: Path) -> None:
    _, found = matrix(small(STUDENT), tmp_path)
    shutil.rmtree(tmp_path / "tiny" / "fpn" / found["fpn 64x64"].run_id)
    recorder, _ = matrix(small(STUDENT), tmp_path)
    assert recorder.order == ["student"]
    assert recorder.fresh == []


def test_a_finished_teacher_without_weights_is_trained_again_for_a_new_student(
    tmp_path: Path,
) -> None:
    matrix(small(TEACHER), tmp_path)
    (folder,) = (tmp_path / "tiny" / "fpn").iterdir()
    for path in list_checkpoints(folder):
        path.unlink()
    assert matrix(small(TEACHER), tmp_path)[0].trained == []
    recorder, found = matrix(small(TEACHER, STUDENT), tmp_path)
    assert recorder.trained == ["big", "student"]
    assert found["student"].status == "ok"


def test_a_failed_teacher_fails_its_students_with_its_reason_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(detector: Any, data: TrainingData, *others: Any, **more: Any) -> Any:
        if data.input.size == (64, 64):
            raise RuntimeError("out of memory")
        return train(detector, data, *others, **more)

    monkeypatch.setattr("sobench.runs.execute.train", failing)
    suite = small(STUDENT, "fpn")
    recorder, found = matrix(suite, tmp_path)
    assert recorder.trained == ["fpn"]
    assert {label: outcome.status for label, outcome in found.items()} == {
        "fpn 64x64": "failed", "student": "failed", "fpn": "ok",
    }  # fmt: skip
    assert found["student"].reason.startswith(
        "needs fpn 64x64 seed 0, which is not done: failed: out of memory"
    )
    monkeypatch.undo()
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    recorder, found = matrix(suite, tmp_path)
    assert recorder.trained == ["fpn 64x64", "student"]
    assert found["student"].status == "ok"


def test_a_diverged_teacher_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(*_: Any, **__: Any) -> Any:
        raise Diverged("the loss is not finite")

    monkeypatch.setattr("sobench.runs.execute.train", diverging)
    suite = small(STUDENT)
    for fresh in (["fpn 64x64", "student"], ["student"]):  # the student is tried, to no avail
        recorder, found = matrix(suite, tmp_path)
        assert recorder.fresh == fresh
        assert found["fpn 64x64"].status == "diverged"
        assert found["student"].status == "failed"
        reason = "fpn 64x64 seed 0, which is not done: diverged: the loss is"
        assert reason in found["student"].reason


def test_weights_of_a_training_that_began_anew_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher is done, its weights are lost, and the training that replaces them is killed."""
    suite = small(TEACHER)
    _, found = matrix(suite, tmp_path)
    folder = tmp_path / "tiny" / "fpn" / found["big"].run_id
    for path in list_checkpoints(folder):
        path.unlink()

    def killed(*arguments: Any, **options: Any) -> Any:
        def stop(progress: TrainProgress) -> None:
            if progress.step == 2:
                raise KeyboardInterrupt

        return train(*arguments, **options | {"on_step": stop, "checkpoint_seconds": 0})

    monkeypatch.setattr("sobench.runs.execute.train", killed)
    with pytest.raises(KeyboardInterrupt):
        matrix(small(TEACHER, STUDENT), tmp_path)
    assert [step_of(path) for path in list_checkpoints(folder)] == [1]
    monkeypatch.setattr("sobench.runs.execute.train", train)
    recorder, again = matrix(small(TEACHER, STUDENT), tmp_path)
    assert recorder.order == ["big", "student"]
    assert recorder.fresh == ["big", "student"]
    assert again["big"].scored == found["big"].scored
    assert [step_of(path) for path in list_checkpoints(folder)] == [2]


def test_what_is_trained_again_gets_what_it_requires(tmp_path: Path) -> None:
    deviating = {"schedule.lr": 1e-6, "reason": "a test"}
    tuned = {"name": "efpn", "label": "tuned", "init_from": "efpn", "deviations": deviating}
    _, found = matrix(small("efpn"), tmp_path)
    shutil.rmtree(tmp_path / "tiny" / "fpn")
    for path in list_checkpoints(tmp_path / "tiny" / "efpn" / found["efpn"].run_id):
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
    _, found = matrix(small(STUDENT, twin), tmp_path)
    costs = {label: outcome.cost for label, outcome in found.items()}
    teacher, student, last = costs["fpn 64x64"], costs["student"], costs["twin"]
    assert teacher is not None
    assert student is not None
    assert last is not None
    seconds = (teacher.train_s or 0) + (student.train_s or 0)
    assert last.required_s == pytest.approx(seconds)


def test_a_failed_repetition_leaves_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found = matrix(small(TEACHER), tmp_path)
    folder = tmp_path / "tiny" / "fpn" / found["big"].run_id
    for path in list_checkpoints(folder):
        path.unlink()
    monkeypatch.setattr("sobench.runs.execute.train", lambda *_, **__: 1 / 0)
    _, again = matrix(small(TEACHER, STUDENT), tmp_path)
    assert again["big"].status == again["student"].status == "failed"
    assert record.read(folder) == found["big"]


def test_a_teacher_that_another_process_trains_leaves_the_rest(tmp_path: Path) -> None:
    suite = small(STUDENT, "fpn")
    ((_, teacher),) = planned(suite)[0].requires
    with locked(teacher.folder(tmp_path)):
        recorder, found = matrix(suite, tmp_path)
    assert recorder.trained == ["fpn"]
    assert "another sobench process holds this run" in found["fpn 64x64"].reason
    assert record.read(teacher.folder(tmp_path)) is None  # that is for the other to write
    assert "needs fpn 64x64 seed 0, which is not done: it has not run" in found["student"].reason
    assert matrix(suite, tmp_path)[0].trained == ["fpn 64x64", "student"]


def test_a_row_starts_from_the_weights_of_another(tmp_path: Path) -> None:
    tuned = {
        "name": "fpn", "label": "tuned", "init_from": "big",
        "deviations": {"schedule.lr": 1e-30, "schedule.weight_decay": 0, "reason": "a test"},
    }  # fmt: skip
    recorder, found = matrix(small(tuned, TEACHER, backbone={"freeze": ()}), tmp_path)
    assert recorder.trained == ["big", "tuned"]
    states = []
    for label in ("big", "tuned"):
        state = checkpoint.load_newest(tmp_path / "tiny" / "fpn" / found[label].run_id, print)
        assert state is not None
        states.append(state["model"])
    for name, value in states[0].items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, states[1][name]), name
    cost, origin = found["tuned"].cost, found["big"].cost
    assert cost is not None
    assert origin is not None
    assert cost.extra_s == origin.train_s


def test_weights_that_do_not_fit_are_refused_before_anything_trains(tmp_path: Path) -> None:
    other = {"name": "pafpn", "init_from": "fpn"}
    with pytest.raises(RequestError, match=r"pafpn: init_from: fpn: the weights of fpn do not f"):
        matrix(small("fpn", other), tmp_path)
    assert not (tmp_path / "tiny").exists()


def test_sizes_that_are_asked_for_later_need_no_training(tmp_path: Path) -> None:
    _, found = matrix(small("fpn"), tmp_path)
    suite = small("fpn", eval_sizes=[[32, 32], [64, 48]])
    recorder, later = matrix(suite, tmp_path)
    assert recorder.trained == []
    assert recorder.fresh == ["fpn"]
    outcome = later["fpn"]
    assert outcome.scored == found["fpn"].scored == outcome.sizes["32x32"]
    folder = tmp_path / "tiny" / "fpn" / outcome.run_id
    assert record.read(folder) == outcome
    board = board_of(suite, [outcome])
    assert list(board.sizes["input"]) == ["32x32", "64x48"]
    assert matrix(suite, tmp_path)[0].fresh == []
    untested = board_of(suite, [found["fpn"]])
    assert untested.missing["fpn seed 0"].startswith("not tested at 32x32, 64x48; ")


def test_other_sizes_are_detected_as_by_a_suite_of_that_size(tmp_path: Path) -> None:
    """Boxes in pixels of the original, by the trained weights, with the anchors of the training."""
    suite = small("mrae", eval_sizes=[[64, 48]], detect={"score_threshold": 0.0})
    matrix(suite, tmp_path)
    (run,) = planned(suite)
    folder = run.folder(tmp_path)
    (last,) = list_checkpoints(folder)
    training, dataset = (load(suite.dataset, split) for split in ("train", "val"))
    resized = suite.model_copy(update={"input": Input(size=(64, 48))})
    detector = build_detector(resized, run.entry, 5, 7, box_wh(training, suite.input))
    detector.load_state_dict(checkpoint.load(last)["model"])
    pixels = np.stack([resize(dataset.read_image(i), resized.input) for i in range(2)])
    rows = detect(detector, pixels, dataset, resized.input)
    stored = read_rows(folder / "detections-64x48.json.gz")
    assert len(rows) == len(stored) > 0
    for one, other in zip(rows, stored, strict=True):
        assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-3)
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_a_new_training_forgets_what_the_old_one_detected(tmp_path: Path) -> None:
    suite = small("fpn", eval_sizes=[[64, 48]], detect={"score_threshold": 0.0})
    _, found = matrix(suite, tmp_path)
    folder = tmp_path / "tiny" / "fpn" / found["fpn"].run_id
    (folder / "record.json").unlink()
    write_rows(folder / "detections-64x48.json.gz", [])
    recorder, again = matrix(suite, tmp_path)
    assert recorder.fresh == ["fpn"]
    assert len(read_rows(folder / "detections-64x48.json.gz")) > 0
    assert again["fpn"].sizes == found["fpn"].sizes


def test_what_goes_wrong_at_another_size_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small("fpn", eval_sizes=[[64, 48]])

    def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory\nfar away")

    monkeypatch.setattr("sobench.runs.evaluate.detect", failing)
    recorder, found = matrix(suite, tmp_path)
    assert found["fpn"].status == "ok"
    assert found["fpn"].sizes == {}
    assert recorder.warnings == ["fpn seed 0: not tested at all of eval_sizes: out of memory"]
    monkeypatch.undo()
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    recorder, found = matrix(suite, tmp_path)
    assert recorder.trained == []
    assert list(found["fpn"].sizes) == ["64x48"]


def test_a_size_too_small_to_train_at_can_be_tested(tmp_path: Path) -> None:
    row = {"name": "zoominnet", "align": "la", "distill": False}
    suite = small(row, eval_sizes=[[32, 32]], neck={"channels": 8})
    suite = suite.model_copy(
        update={
            "input": Input(size=(64, 64)),
            "schedule": suite.schedule.model_copy(update={"batch_size": 1}),
        }
    )
    assert list(matrix(suite, tmp_path)[1]["zoominnet"].sizes) == ["32x32"]


def test_a_size_that_the_weights_do_not_fit_is_refused_first(tmp_path: Path) -> None:
    """SSD has as many stages as its input can be halved."""
    suite = small("ssd", eval_sizes=[[256, 256]])
    words = (
        r"ssd: eval_sizes: \[256, 256\]: the weights of ssd do not fit:\n\S+ is \[16\] there and "
    )
    with pytest.raises(RequestError, match=words):
        matrix(suite, tmp_path)
    matrix(suite.model_copy(update={"eval_sizes": ()}), tmp_path)
    with pytest.raises(RequestError, match=words):  # also where the row is done
        matrix(suite, tmp_path)
