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

from sobench import record
from sobench.record import Record
from tests.tiny import write_tiny


def _command(suite: Path, results: Path) -> list[str]:
    options = ["--results", str(results), "--checkpoint-seconds", "0"]
    return [sys.executable, "-m", "sobench", "run", str(suite), *options]


def _outcome(results: Path) -> tuple[Record, bytes]:
    (folder,) = (results / "tiny" / "fpn").iterdir()
    found = record.read(folder)
    assert found is not None
    return found, gzip.decompress((folder / "detections.json.gz").read_bytes())


def _steps(results: Path) -> int:
    """Steps of the newest checkpoint, 0 without any."""
    return max((int(p.name.split("-")[1]) for p in results.glob("**/checkpoint-*")), default=0)


def _kill_at_random(command: list[str], environment: dict[str, str], results: Path) -> bool:
    """Kill the run at a random step, at a random moment in it; false if it had ended."""
    target = _steps(results) + random.randint(1, 3)
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and _steps(results) < target:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.2))
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


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
    (whole, detections), (cut, cut_detections) = (_outcome(tmp_path / n) for n in ("whole", "cut"))
    assert cut.scored == whole.scored
    assert cut.last_loss == whole.last_loss
    assert cut.history == whole.history
    assert cut_detections == detections


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
    assert _outcome(tmp_path / "cut")[0].status == "ok"
