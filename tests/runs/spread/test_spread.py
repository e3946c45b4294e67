"""Runs that are handed to workers: what waits for what, and what becomes of those that are lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sobench.errors import DiskFull
from sobench.locks import is_locked, locked
from sobench.runs.spread.job import Job, Outcome, do_job
from tests.runs.matrices import STUDENT, matrix, planned, small
from tests.runs.spread.engines import Inline, spread


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sobench.runs.cost.measure_latency", lambda *_: 1.0)
    monkeypatch.setattr("sobench.runs.cost.count_gflops", lambda *_: 1.0)
    monkeypatch.setattr("sobench.runs.spread.matrix.sleep", lambda _: None)


def nothing_done(job: Job) -> Outcome:
    return Outcome(None, problem=f"{job.task.run.name} was lost")


def test_workers_get_the_numbers_of_one_process(tmp_path: Path) -> None:
    suite = small(STUDENT, "fpn")
    engine = Inline()
    recorder, records = spread(suite, tmp_path / "spread", engine)
    _, expected = matrix(suite, tmp_path / "alone")
    assert {label: record.scores for label, record in records.items()} == {
        label: record.scores for label, record in expected.items()
    }
    # What builds on nothing is handed over together, and the student after its teacher.
    assert engine.groups == [(["fpn 64x64", "fpn"], []), (["student"], ["fpn 64x64"])]
    assert sorted(recorder.fresh) == ["fpn", "fpn 64x64", "student"]
    assert [path.name for path in (tmp_path / "spread").iterdir()] == ["tiny"]
    again, _ = spread(suite, tmp_path / "spread", engine := Inline())
    assert (again.fresh, engine.groups) == ([], [])


def test_an_engine_without_dependencies_gets_what_can_begin(tmp_path: Path) -> None:
    engine = Inline(slots=1, do=nothing_done)
    spread(small("fpn", STUDENT, "ssd"), tmp_path, engine)
    assert [after for _, after in engine.groups] == [[]] * 4
    labels = [label for group, _ in engine.groups for label in group]
    assert all(len(group) == 1 for group, _ in engine.groups)
    assert labels.index("fpn 64x64") < labels.index("student")


def test_a_job_that_is_lost_for_good_is_a_run_that_failed(tmp_path: Path) -> None:
    recorder, records = spread(small("fpn"), tmp_path, Inline(do=nothing_done))
    assert (records["fpn"].status, records["fpn"].reason) == ("failed", "fpn seed 0 was lost")
    _, after = spread(small("fpn"), tmp_path, Inline())  # the next command tries it again
    assert after["fpn"].status == "ok"
    assert recorder.looks == []


def test_an_interrupt_ends_the_jobs_that_are_not_done(tmp_path: Path) -> None:
    def interrupted(job: Job) -> Outcome:
        if job.task.run.entry.label == "ssd":
            raise KeyboardInterrupt
        return do_job(job)

    engine = Inline(do=interrupted)
    with pytest.raises(KeyboardInterrupt):
        spread(small("fpn", "ssd", "pafpn"), tmp_path, engine)
    assert engine.cancelled == ["ssd", "pafpn"]
    assert list(tmp_path.glob(".spread-*")) == []
    _, records = spread(small("fpn"), tmp_path, Inline(do=nothing_done))
    assert records["fpn"].status == "ok"  # what was done is kept


def jobs_of(tmp_path: Path, **changes: object) -> list[Job]:
    seen: list[Job] = []

    def note(job: Job) -> Outcome:
        seen.append(job)
        return Outcome(None, problem="noted")

    spread(small("fpn", **changes), tmp_path, Inline(do=note))
    (tmp_path / seen[0].mark).touch()
    return seen


def test_a_worker_that_does_not_see_the_results_says_so(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path)
    outcome = do_job(replace(job, mark="another"))
    assert outcome.record is None
    assert "the worker does not see this folder of results; --results must name" in outcome.problem


def test_a_worker_waits_for_who_holds_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = jobs_of(tmp_path)
    (run,) = planned(small("fpn"))
    held = locked(run.folder(tmp_path))
    held.__enter__()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        held.__exit__(None, None, None)

    monkeypatch.setattr("sobench.runs.spread.job.sleep", pause)
    outcome = do_job(job)
    assert outcome.record is not None
    assert (outcome.record.status, len(pauses)) == ("ok", 1)
    assert not is_locked(run.folder(tmp_path))


def test_a_full_disk_of_one_worker_is_told_with_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = jobs_of(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise DiskFull("/cache: the disk is full")

    monkeypatch.setattr("sobench.runs.spread.job.work_off", full)
    monkeypatch.setattr("sobench.runs.spread.job.socket.gethostname", lambda: "node7")
    assert do_job(job).problem == "/cache: the disk is full (on node7)"


def test_a_missing_device_of_a_worker_is_told(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path)
    assert "torch sees" in do_job(replace(job, device="cuda:99")).problem
