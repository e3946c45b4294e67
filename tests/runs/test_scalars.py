"""The log of a training for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sobench.errors import RequestError
from sobench.runs.scalars import scalars, write_scalars
from tests.records import invoke

STEP = {"step": 10, "epoch": 1, "lr": 0.1, "grad_norm": None, "losses": {"class": 2, "total": 3.5}}
EPOCH = {"epoch": 1, "stage": "train", "step": 12, "losses": {"total": 3.0}, "ap": 0.25}


def test_rows_of_steps_and_epochs() -> None:
    assert dict(scalars(STEP)) == {"loss/class": 2.0, "loss/total": 3.5, "lr": 0.1}
    assert dict(scalars(EPOCH)) == {"epoch/loss/total": 3.0, "val/AP": 0.25}


def test_event_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard", reason="needs sobench[tensorboard]")
    (tmp_path / "log.jsonl").write_text(f"{json.dumps(STEP)}\n{json.dumps(EPOCH)}\n")
    out = tmp_path / "events"
    code, text, err = invoke(capsys, "export", tmp_path, "--format", "tensorboard", "--out", out)
    assert (code, text, err) == (0, f"{out}: 5 scalars\n", "")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [(10, 3.5)]
    assert [(e.step, e.value) for e in events.Scalars("val/AP")] == [(12, 0.25)]
    with pytest.raises(RequestError, match="has event files already; give another folder"):
        write_scalars(tmp_path, out)


def test_without_a_log_there_is_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file or directory; give the folder of a run"):
        write_scalars(tmp_path, tmp_path / "events")
    (tmp_path / "log.jsonl").write_text("junk\n")
    with pytest.raises(RequestError, match="nothing is logged yet"):
        write_scalars(tmp_path, tmp_path / "events")
