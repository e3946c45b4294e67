"""``run --dry-run``: everything is checked and priced, nothing is trained or written."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from sobench.data.cache_folder import cache_folder
from sobench.data.fingerprint import fingerprint
from sobench.runs import forecast
from sobench.runs.estimate import Estimate, estimate
from sobench.suite.plan import Run, plan
from sobench.suite.reader import load
from tests.commands.small_suite import Capture, check_refusal, files, keep, write_suite
from tests.data.small_datasets import coco_at
from tests.records import invoke, isolate

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def seconds(text: str) -> int:
    minutes, rest = text.split(":")
    return 60 * int(minutes) + int(rest)


def test_what_is_due_is_priced_and_nothing_is_written(capsys: Capture) -> None:
    path = write_suite(seeds=[0, 1], methods=["fpn"])
    before = files()
    code, out, _ = invoke(capsys, "run", path, "--dry-run")
    assert code == 0
    assert files() == before
    assert not cache_folder().exists() or not list(cache_folder().glob("*.images"))
    # Two seeds of one epoch of four images in batches of two.
    assert re.search(r"^fpn +2 +2 +\d+\.\d{3} +0:\d\d +0:\d\d +0:\d\d +\d+ +\d+ *$", out, re.M)
    assert "image cache: 6 images to decode, 0 MiB of" in out
    assert re.search(r"^results: \d+ MiB of \d+ free", out, re.M)
    assert re.search(r"^in all: \d+:\d\d$", out, re.M)


def test_what_is_required_is_priced_too(capsys: Capture) -> None:
    path = write_suite(methods=[{"name": "zoominnet"}])
    code, out, _ = invoke(capsys, "run", path, "--dry-run")
    assert code == 0
    assert re.search(r"^fpn 128x128 +1 +2 ", out, re.M)
    assert re.search(r"^zoominnet +1 +2 ", out, re.M)
    # The teacher sees other pixels: four images to train on and two to score, at either size.
    assert "image cache: 12 images to decode" in out


def test_what_is_done_is_not_timed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_suite(methods=["fpn"])
    keep(path, 0.5, data=fingerprint(load(path).dataset))

    def fail(*_: object) -> None:
        raise AssertionError("nothing is to be timed")

    monkeypatch.setattr(forecast, "estimate", fail)
    before = files()
    code, out, _ = invoke(capsys, "run", path, "--dry-run")
    assert code == 0
    assert "1 run done, not trained" in out
    assert "in all: 0:00" in out
    assert files() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "cuda"}, "cuda is asked for"),
        ({"precision": "bf16"}, "precision: bf16: on a CPU, gradients are wrong"),
        ({"backbone": {"name": "resnet18", "weights": "none.pt"}}, "backbone.weights"),
    ],
)
def test_what_run_would_refuse(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = write_suite(methods=["fpn"], **changes)
    check_refusal(capsys, words, "run", path, "--dry-run")
    check_refusal(capsys, words, "run", path)


def test_data_that_run_would_refuse(capsys: Capture) -> None:
    spec = coco_at(Path("set"))
    file = Path("set/val.json")
    file.write_text(file.read_text().replace("car", "ship"))
    path = write_suite(dataset=spec.model_dump(mode="json") | {"root": "set"}, methods=["fpn"])
    check_refusal(capsys, "classes of train and val differ", "run", path, "--dry-run")


def test_a_row_that_fails_while_it_is_timed(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_suite()
    (first, _) = plan(load(path), "")

    def fail(run: Run, *others: Any) -> Estimate:
        if run.entry.label == first.entry.label:
            raise MemoryError("of all things")
        return estimate(run, *others)

    monkeypatch.setattr(forecast, "estimate", fail)
    code, out, _ = invoke(capsys, "run", path, "--dry-run")
    assert code == 1
    assert "fpn: cannot be trained or tested: MemoryError: of all things" in out
    assert re.search(r"^ssd +1 ", out, re.M)


def test_too_little_room(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_suite(methods=["fpn"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 2**20))
    code, out, _ = invoke(capsys, "run", path, "--dry-run")
    assert code == 1
    assert "there is not enough room" in out
