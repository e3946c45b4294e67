"""What Ray and Slurm are asked for, and what is said where they are missing or lack something."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from sobench.errors import RequestError
from sobench.runs.spread import ray, slurm
from sobench.runs.spread.ray import RayEngine, check_nodes
from sobench.runs.spread.slurm import SlurmEngine


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


def test_a_run_must_fit_on_one_node() -> None:
    check_nodes([node(CPU=1)], 0, "here")
    check_nodes([node(CPU=8, GPU=1), node(CPU=8, GPU=4)], 4, "here")
    with pytest.raises(RequestError, match=r"no node of there has as many GPUs .* one node: 1\)"):
        check_nodes([node(CPU=8, GPU=1), node(CPU=8, GPU=1)], 2, "there")
    with pytest.raises(RequestError, match=r"one node: 0\)"):
        check_nodes([node(alive=False, CPU=8, GPU=4), node(GPU=0.5)], 1, "here")


@pytest.mark.parametrize("name", ["ray", "submitit"])
def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    extra = "ray" if name == "ray" else "slurm"
    with pytest.raises(RequestError, match=rf"not installed; pip install 'sobench\[{extra}\]'"):
        RayEngine(None, 0) if name == "ray" else SlurmEngine(tmp_path, "local", 0, {})


class FakeRay:
    def __init__(self, *errors: Exception) -> None:
        self.errors, self.ended = list(errors), 0
        self.started: list[str] = []

    def init(self, **options: Any) -> None:
        self.started.append(options["address"])
        if self.errors:
            raise self.errors.pop(0)

    def shutdown(self) -> None:
        self.ended += 1


def test_no_cluster_at_the_address() -> None:
    fake = FakeRay(ConnectionError("Could not find any running Ray instance."))
    with pytest.raises(RequestError, match=r"--address auto: there is no Ray cluster \(.*find any"):
        ray._connect(fake, "auto")


def test_a_busy_machine_gets_further_tries() -> None:
    late = Exception("The current node timed out during startup.")
    fake = FakeRay(late, late)
    ray._connect(fake, None)
    assert (fake.started, fake.ended) == (["local"] * 3, 2)
    with pytest.raises(RequestError, match=r"Ray does not start here \(.*timed out"):
        ray._connect(FakeRay(late, late, late), None)
    with pytest.raises(RequestError, match="no memory"):
        ray._connect(FakeRay(Exception("no memory")), None)


def test_parameters_of_slurm() -> None:
    given = {"partition": "gpu", "time": "600", "licenses": "a", "cpus_per_task": "8"}
    assert slurm.of_slurm(given) == {
        "slurm_partition": "gpu",
        "timeout_min": 600,
        "cpus_per_task": 8,
        "slurm_additional_parameters": {"licenses": "a"},
    }
    assert slurm.of_slurm({}) == {}
    for value in ("0", "1:00", "-1", ""):
        with pytest.raises(RequestError, match=f"--slurm time={value}: is not a whole number"):
            slurm.of_slurm({"time": value})


def test_a_job_that_is_put_back_leaves_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit is submitit's; the run sees an interrupt, which it keeps to itself."""
    seen: list[BaseException] = []

    def work(_: object) -> None:
        try:
            signal.raise_signal(signal.SIGUSR2)
        except BaseException as error:
            seen.append(error)
            raise

    def put_back(*_: object) -> None:
        sys.exit(144)

    monkeypatch.setattr(slurm, "do_job", work)
    before = signal.signal(signal.SIGUSR2, put_back)
    try:
        with pytest.raises(SystemExit) as leaving:
            slurm.Requeued()(object())  # type: ignore[arg-type]
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert leaving.value.code == 144
    assert [type(error) for error in seen] == [KeyboardInterrupt]


class FakeExecutor:
    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self.arrays: list[tuple[int, Any]] = []

    def update_parameters(self, **parameters: Any) -> None:
        self.parameters |= parameters

    def map_array(self, _function: Any, jobs: list[Any]) -> list[Any]:
        self.arrays.append((len(jobs), self.parameters["slurm_dependency"]))
        return [type("Job", (), {"job_id": f"7_{index}"})() for index in range(len(jobs))]


def test_arrays_wait_for_the_jobs_that_they_build_on(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    engine = SlurmEngine(tmp_path, "local", 0, {})
    executor: Any = FakeExecutor()
    engine._executor, engine._is_local = executor, False
    first = engine.submit([object(), object()], [])  # type: ignore[list-item]
    engine.submit([object()], first)  # type: ignore[list-item]
    assert executor.arrays == [(2, None), (1, "afterany:7_0:7_1")]


def test_no_queue_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequestError, match=r"there is no Slurm here .*--address local"):
        SlurmEngine(tmp_path, None, 0, {})


@pytest.mark.parametrize("mode", [None, "disabled"])
def test_a_cluster_is_shown_the_token_that_this_user_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    variables = {"HOME": str(tmp_path)}
    monkeypatch.setattr(os, "environ", variables)
    ray.show_token()
    assert "RAY_AUTH_MODE" not in variables
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    variables |= {"RAY_AUTH_MODE": mode} if mode else {}
    ray.show_token()
    assert variables["RAY_AUTH_MODE"] == (mode or "token")
