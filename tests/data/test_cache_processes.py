"""Several processes at one image cache: one builds it, the others wait for the same pixels."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sobench.data.cache import CachedImages, cached_images
from tests.data.cached_pictures import INPUT, Images, dataset, every, right

COUNT = 20

BUILD = """
import hashlib, json, os, sys, time
from pathlib import Path
from sobench.data.cache import cached_images
from tests.data.cached_pictures import INPUT, Images, dataset, every

class SlowImages(Images):
    def __call__(self, index):
        time.sleep(0.02)
        return super().__call__(index)

read, waits = SlowImages(), []
place = Path(sys.argv[1])
(place / f"ready-{sys.argv[2]}").touch()
while len(list(place.glob("ready-*"))) < int(sys.argv[3]):
    time.sleep(0.002)
images = cached_images(dataset(read, 20), "train", "f", INPUT, None, waits.append)
digest = hashlib.sha256(every(images).tobytes()).hexdigest()
print(json.dumps([os.getpid(), digest, len(read.reads), len(waits)]))
"""


def build_together(
    place: Path, count: int, prefix: Sequence[str] = ()
) -> list[subprocess.Popen[str]]:
    environment = os.environ | {"SOBENCH_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [*prefix, sys.executable, "-c", BUILD, str(place), str(number), str(count)],
            env=environment, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )
        for number in range(count)
    ]  # fmt: skip


def outcomes(processes: Sequence[subprocess.Popen[str]]) -> list[Any]:
    texts = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [json.loads(text) for text in texts]


def assert_one_built(results: Sequence[Any], place: Path) -> None:
    expected = hashlib.sha256(right(COUNT).tobytes()).hexdigest()
    assert [digest for _, digest, _, _ in results] == [expected] * len(results)
    # The builder read every image, the others none, and each of these told once that it waits.
    reads = sorted(read for _, _, read, _ in results)
    assert reads == [0] * (len(results) - 1) + [COUNT]
    assert all(waited == (0 if read else 1) for _, _, read, waited in results)
    assert len([path for path in (place / "cache").iterdir() if path.is_file()]) == 1


def test_one_builds_and_the_others_wait(tmp_path: Path) -> None:
    assert_one_built(outcomes(build_together(tmp_path, 3)), tmp_path)


def test_two_containers_whose_processes_have_one_number(tmp_path: Path) -> None:
    prefix = ("unshare", "--pid", "--fork")
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("needs unshare, and the right to make namespaces of processes")
    results = outcomes(build_together(tmp_path, 2, prefix))
    assert [number for number, *_ in results] == [1, 1]
    assert_one_built(results, tmp_path)


def test_a_killed_builder_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (builder,) = build_together(tmp_path, 1)
    folder = tmp_path / "cache"
    while not list(folder.glob(".*.tmp")):
        assert builder.poll() is None
        time.sleep(0.002)
    builder.kill()
    builder.wait()
    assert builder.stdout is not None
    builder.stdout.close()
    monkeypatch.setenv("SOBENCH_CACHE", str(folder))
    images = cached_images(dataset(Images(), COUNT), "train", "f", INPUT)
    assert isinstance(images, CachedImages)
    assert np.array_equal(every(images), right(COUNT))
    assert [path.suffix for path in folder.iterdir() if path.is_file()] == [".images"]
