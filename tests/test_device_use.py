"""A time is measured while no other process computes on the device."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.device_use import _others_by_driver, alone_on, using
from tests.device_users import other_user

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_LOCAL", str(tmp_path))


def test_others_are_seen_while_they_work() -> None:
    with using(CPU), using(CPU):
        with alone_on(CPU) as others:
            assert not others
        with other_user(CPU), alone_on(CPU) as others:
            assert others == "another sobench process computes on the device"
        with alone_on(CPU) as others:
            assert not others


def test_others_wait_while_a_time_is_measured() -> None:
    with alone_on(CPU) as others:
        assert not others
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(
                ["flock", "--shared", str(next(Path(os.environ["SOBENCH_LOCAL"]).rglob("cpu"))),
                 "true"],
                timeout=0.5,
            )  # fmt: skip
    with other_user(CPU):
        pass


def test_a_forked_process_does_not_use_what_its_parent_used() -> None:
    (read, write), (begun, tell) = os.pipe(), os.pipe()
    with using(CPU):
        child = os.fork()
        if not child:
            os.close(write)
            os.write(tell, b"x")  # it runs, so it has let go
            os.read(read, 1)
            os._exit(0)
        os.read(begun, 1)
    with alone_on(CPU) as others:
        assert not others
    os.write(write, b"x")
    os.waitpid(child, 0)
    for descriptor in (read, write, begun, tell):
        os.close(descriptor)


def test_nothing_can_be_known_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SOBENCH_LOCAL", str(tmp_path / "file"))
    with alone_on(CPU) as others:
        assert not others


@pytest.mark.parametrize(
    ("told", "others"),
    [
        ("GPU-a\n", ""),
        ("GPU-a\nGPU-b\nGPU-b\n", ""),
        ("GPU-a\nGPU-b\nGPU-a\n", "1 other program(s) compute on the device"),
        ("", ""),
        (None, ""),
    ],
)
def test_the_driver_tells_of_other_programs(
    monkeypatch: pytest.MonkeyPatch, told: str | None, others: str
) -> None:
    def run(*_: object, **__: object) -> Any:
        if told is None:
            raise FileNotFoundError("nvidia-smi")
        return subprocess.CompletedProcess([], 0, told)

    class Properties:
        uuid = "a"

    monkeypatch.setattr("sobench.device_use.subprocess.run", run)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties())
    assert _others_by_driver(torch.device("cuda")) == others
