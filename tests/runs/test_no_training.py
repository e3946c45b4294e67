"""Rows that are tested with the weights of another run, without a training of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs.matrices import matrix, planned, small

TWICE = {"input.size": [64, 64], "reason": "P2 is of the image at twice its size"}
ROWS = [
    "fpn",
    {"name": "efpn", "label": "up", "detect_from": "p2_2x", "deviations": TWICE},
    {"name": "efpn", "label": "p3", "detect_from": "p3"},
]
REGIONS = {"pre_nms_top_n": 50, "post_nms_top_n": 20, "batch_size_per_image": 16, "channels": 16}


def test_rows_without_a_training_have_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    suite = small(*ROWS, head="faster_rcnn", regions=REGIONS, eval_sizes=[[64, 64]])
    recorder, records = matrix(suite, tmp_path)
    assert recorder.order == recorder.fresh == ["fpn", "up", "p3"]
    assert recorder.trained == ["fpn"]
    for label in ("up", "p3"):
        record = records[label]
        assert record.status == "ok", record.reason
        assert (record.history, record.last_step, record.last_loss) == ((), 0, {})
        assert record.cost is not None
        assert record.cost.train_images_s is None
        assert record.cost.required_s == records["fpn"].cost.train_s  # type: ignore[union-attr]
        assert record.cost.extra_s == record.cost.train_s == 0
        assert list(record.sizes) == ["64x64"]
    # A second command finds them done; their weights stand in a checkpoint.
    recorder, again = matrix(suite, tmp_path)
    assert recorder.fresh == recorder.trained == []
    assert again["p3"].scores == records["p3"].scores
    for run in planned(suite):
        assert list(run.folder(tmp_path).glob("checkpoint-*.pt"))


def test_a_new_size_is_tested_with_the_weights_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    matrix(small(*ROWS, head="faster_rcnn", regions=REGIONS), tmp_path)
    suite = small(*ROWS, head="faster_rcnn", regions=REGIONS, eval_sizes=[[64, 96]])
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == recorder.warnings == []
    assert all(list(record.sizes) == ["64x96"] for record in records.values())
