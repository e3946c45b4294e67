"""A run that is killed with SIGKILL and started again ends as if nothing had happened."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sobench.data.fingerprint import fingerprint
from sobench.runs import record
from sobench.runs.record import Record
from sobench.suite.plan import plan
from sobench.suite.reader import load
from tests.tiny_suite import write_tiny


def _command(suite: Path, results: Path) -> list[str]:
    options = ["--results", str(results), "--checkpoint-seconds", "0"]
    return [sys.executable, "-m", "sobench", "run", str(suite), *options]


def _outcome(folder: Path) -> tuple[Record, bytes]:
    stored = record.read(folder)
    assert stored is not None
    return stored, gzip.decompress((folder / "detections.json.gz").read_bytes())


def _only(results: Path) -> Path:
    (folder,) = (results / "tiny" / "fpn").iterdir()
    return folder


def _steps(folder: Path) -> int:
    """Steps of the newest checkpoint, 0 without any."""
    return max((int(p.name.split("-")[1]) for p in folder.glob("**/checkpoint-*")), default=0)


def _kill_after(target: int, command: list[str], environment: dict[str, str], where: Path) -> bool:
    """Kill the run at a random moment after a checkpoint; false if it had ended."""
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and _steps(where) < target:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.2))
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def _kill_at_random(command: list[str], environment: dict[str, str], results: Path) -> bool:
    """Kill the run at a random step, at a random moment in it; false if it had ended."""
    return _kill_after(_steps(results) + random.randint(1, 3), command, environment, results)


def _same(whole: Path, cut: Path) -> None:
    (reference, detections), (resumed, resumed_detections) = _outcome(whole), _outcome(cut)
    assert resumed.scores == reference.scores
    assert resumed.last_loss == reference.last_loss
    assert resumed.first_losses == reference.first_losses
    assert resumed.history == reference.history
    assert resumed_detections == detections


def test_killed_runs_end_as_uninterrupted_ones(tmp_path: Path) -> None:
    suite = write_tiny(tmp_path)
    environment = os.environ | {"SOBENCH_CACHE": str(tmp_path / "cache")}
    plain = ["--results", str(tmp_path / "whole")]
    subprocess.run(
        [sys.executable, "-m", "sobench", "run", str(suite), *plain],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    command = _command(suite, tmp_path / "cut")
    kills = [_kill_at_random(command, environment, tmp_path / "cut") for _ in range(2)]
    assert kills == [True, True]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert "fpn seed 0: AP" in done.stderr
    _same(_only(tmp_path / "whole"), _only(tmp_path / "cut"))


def test_kills_in_a_teacher_in_every_stage_and_in_a_student(tmp_path: Path) -> None:
    suite = write_tiny(
        tmp_path, methods=["zoominnet", "efpn"], input={"size": [32, 32]}, neck={"channels": 8}
    )
    environment = os.environ | {"SOBENCH_CACHE": str(tmp_path / "cache")}
    subprocess.run(
        [sys.executable, "-m", "sobench", "run", str(suite), "--results", str(tmp_path / "whole")],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    loaded = load(suite)
    student, extended = plan(loaded, fingerprint(loaded.dataset))
    (_, teacher), (_, baseline) = student.requires[0], extended.requires[0]
    cut, command = tmp_path / "cut", _command(suite, tmp_path / "cut")
    # Nine steps in a stage, and five or six in EFPN's second one.
    for run, step in ((teacher, 4), (student, 4), (baseline, 5), (extended, 4), (extended, 11)):
        assert _kill_after(step, command, environment, run.folder(cut))
        assert _steps(run.folder(cut)) < (9 if step < 9 else 15)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stderr.count("done before") == 2  # the student, and EFPN's baseline
    for run in (teacher, student, baseline, extended):
        _same(run.folder(tmp_path / "whole"), run.folder(cut))


@pytest.mark.parametrize("harm", ["truncate", "flip"])
def test_a_damaged_checkpoint_is_told_and_survived(tmp_path: Path, harm: str) -> None:
    suite = write_tiny(tmp_path)
    environment = os.environ | {"SOBENCH_CACHE": str(tmp_path / "cache")}
    command = _command(suite, tmp_path / "cut")
    while len(list((tmp_path / "cut").glob("**/checkpoint-*.pt"))) < 2:
        assert _kill_at_random(command, environment, tmp_path / "cut")
    newest = sorted((tmp_path / "cut").glob("**/checkpoint-*.pt"))[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 3] ^= 1
    newest.write_bytes(content[: len(content) // 2] if harm == "truncate" else content)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert f"{newest.name}: damaged" in done.stderr
    assert _outcome(_only(tmp_path / "cut"))[0].status == "ok"
