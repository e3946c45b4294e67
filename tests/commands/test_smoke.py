"""``--smoke``: everything is tried, briefly, and counts nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.commands.small_suite import Capture, write_suite
from tests.records import invoke, isolate


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_a_smoke_run_is_found_by_the_same_option_alone(capsys: Capture) -> None:
    path, threads = write_suite(), torch.get_num_threads()
    torch.set_num_threads(1)
    code, out, err = invoke(capsys, "run", path, "--smoke", "2", "--methods", "fpn")
    torch.set_num_threads(threads)
    assert code == 0, err
    assert "PARTIAL RESULT (--smoke 2): not comparable with the full suite" in out
    (written,) = Path("results").rglob("record.json")
    record = json.loads(written.read_text())
    assert record["images"] == {"train": 2, "val": 2}
    assert record["status"] == "partial"
    # All commands that read a suite know the option.
    for command in ("report", "plan"):
        code, out, err = invoke(capsys, command, path, "--smoke", "2", "--methods", "fpn")
        assert code == 0, err
        assert "done" in out or "--smoke 2" in out
    for arguments in ((), ("--smoke", "3"), ("--limit", "2")):
        code, out, _ = invoke(capsys, "report", path, "--methods", "fpn", *arguments)
        assert code == 4, out


def test_the_images_are_shown_before_they_are_trained_on(capsys: Capture) -> None:
    code, out, err = invoke(capsys, "data", write_suite(), "--smoke", "2")
    assert code == 0, err
    assert "train: 2 images, sha256 of their ids" in out
    assert "val: 2 images readable" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--smoke", "0"], "Invalid value for '--smoke'"),
        (["--smoke", "2", "--limit", "2"], "error: --smoke: chooses the images itself"),
    ],
)
def test_refused(capsys: Capture, arguments: list[str], words: str) -> None:
    code, out, err = invoke(capsys, "plan", write_suite(), *arguments)
    assert (code, out) == (2, "")
    assert words in err
