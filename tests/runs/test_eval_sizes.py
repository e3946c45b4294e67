"""Trained networks tested at further input sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sobench.data.load import load
from sobench.data.resize import box_wh, resize
from sobench.errors import RequestError
from sobench.models.build import build_detector
from sobench.runs import record
from sobench.runs.detect import detect
from sobench.suite.input import Input
from sobench.training import checkpoint
from sobench.training.checkpoint_files import list_checkpoints
from tests.runs.matrices import board_of, matrix, planned, small
from tests.stored_rows import read_rows, write_rows


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


def test_sizes_that_are_asked_for_later_need_no_training(tmp_path: Path) -> None:
    _, records = matrix(small("fpn"), tmp_path)
    suite = small("fpn", eval_sizes=[[32, 32], [64, 48]])
    recorder, later = matrix(suite, tmp_path)
    assert recorder.trained == []
    assert recorder.fresh == ["fpn"]
    outcome = later["fpn"]
    assert outcome.scores == records["fpn"].scores == outcome.sizes["32x32"]
    folder = tmp_path / "tiny" / "fpn" / outcome.run_id
    assert record.read(folder) == outcome
    assert not (folder / "detections-32x32.json.gz").exists()  # its own size is detected anyway
    board = board_of(suite, [outcome])
    assert list(board.sizes["input"]) == ["32x32", "64x48"]
    assert matrix(suite, tmp_path)[0].fresh == []
    untested = board_of(suite, [records["fpn"]])
    assert untested.missing["fpn seed 0"].startswith("not tested: 32x32, 64x48; ")


def test_other_sizes_are_detected_as_by_a_suite_of_that_size(tmp_path: Path) -> None:
    """Boxes in pixels of the original, by the trained weights, with the anchors of the training."""
    suite = small("mrae", eval_sizes=[[64, 48]], detect={"score_threshold": 0.0})
    matrix(suite, tmp_path)
    (run,) = planned(suite)
    folder = run.folder(tmp_path)
    (last,) = list_checkpoints(folder)
    training, dataset = (load(suite.dataset, split) for split in ("train", "val"))
    resized = suite.model_copy(update={"input": Input(size=(64, 48))})
    detector = build_detector(resized, run.entry, 5, 7, box_wh(training, suite.input))
    detector.load_state_dict(checkpoint.load(last)["model"])
    pixels = np.stack([resize(dataset.read_image(i), resized.input) for i in range(2)])
    detections = detect(
        detector, pixels, dataset, resized.input, batch_size=2, precision=suite.precision
    )
    stored = read_rows(folder / "detections-64x48.json.gz")
    assert len(detections) == len(stored) > 0
    for one, other in zip(detections, stored, strict=True):
        assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-3)
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_a_new_training_forgets_what_the_old_one_detected(tmp_path: Path) -> None:
    suite = small("fpn", eval_sizes=[[64, 48]], detect={"score_threshold": 0.0})
    _, records = matrix(suite, tmp_path)
    folder = tmp_path / "tiny" / "fpn" / records["fpn"].run_id
    (folder / "record.json").unlink()
    write_rows(folder / "detections-64x48.json.gz", [])
    recorder, again = matrix(suite, tmp_path)
    assert recorder.fresh == ["fpn"]
    assert len(read_rows(folder / "detections-64x48.json.gz")) > 0
    assert again["fpn"].sizes == records["fpn"].sizes


def test_what_goes_wrong_at_another_size_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small("fpn", eval_sizes=[[64, 48]])

    def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory\nfar away")

    monkeypatch.setattr("sobench.runs.evaluate.detect", failing)
    recorder, records = matrix(suite, tmp_path)
    assert records["fpn"].status == "ok"
    assert records["fpn"].sizes == {}
    assert recorder.warnings == [
        "fpn seed 0: not all further tests are done: RuntimeError: out of memory"
    ]
    monkeypatch.undo()
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == []
    assert list(records["fpn"].sizes) == ["64x48"]


def test_a_size_too_small_to_train_at_can_be_tested(tmp_path: Path) -> None:
    row = {"name": "zoominnet", "align": "la", "distill": False}
    suite = small(row, eval_sizes=[[32, 32]], neck={"channels": 8})
    suite = suite.model_copy(
        update={
            "input": Input(size=(64, 64)),
            "schedule": suite.schedule.model_copy(update={"batch_size": 1}),
        }
    )
    assert list(matrix(suite, tmp_path)[1]["zoominnet"].sizes) == ["32x32"]


def test_a_size_that_the_weights_do_not_fit_is_refused_first(tmp_path: Path) -> None:
    """SSD has as many stages as its input can be halved."""
    suite = small("ssd", eval_sizes=[[256, 256]])
    words = r"ssd: eval_sizes: \[256, 256\]: the weights of ssd do not fit:\n\S+ is not there and "
    with pytest.raises(RequestError, match=words):
        matrix(suite, tmp_path)
    matrix(suite.model_copy(update={"eval_sizes": ()}), tmp_path)
    with pytest.raises(RequestError, match=words):  # also where the row is done
        matrix(suite, tmp_path)


def test_scores_at_sizes_stay_under_every_protocol(tmp_path: Path) -> None:
    matrix(small("fpn", eval_sizes=[[64, 48]]), tmp_path)
    _, records = matrix(small("fpn", eval_sizes=[[48, 48]]), tmp_path)
    coco = records["fpn"].sizes
    assert set(coco) == {"64x48", "48x48"}  # of another suite, but present
    suite = small("fpn", eval_sizes=[[48, 48]], protocol="tiny")
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == []
    sizes = records["fpn"].sizes
    assert set(sizes) == {"64x48", "48x48"}
    assert {name: list(scores) for name, scores in sizes.items()} == {
        "64x48": ["coco v1 hotcoco"], "48x48": ["coco v1 hotcoco", "tiny v1 hotcoco"],
    }  # fmt: skip
    assert sizes["48x48"]["coco v1 hotcoco"] == coco["48x48"]["coco v1 hotcoco"]
    assert matrix(small("fpn", eval_sizes=[[48, 48]]), tmp_path)[0].fresh == []


def test_scoring_anew_keeps_the_limit(tmp_path: Path) -> None:
    suite = small("fpn")
    more = suite.model_copy(update={"dataset": suite.dataset.model_copy(update={"val": 4})})
    matrix(more, tmp_path, limit=2)
    recorder, again = matrix(more.model_copy(update={"protocol": "tiny"}), tmp_path, limit=2)
    assert recorder.trained == []
    by_protocol = again["fpn"].scores.values()
    truth = [[row["ground_truth"] for row in s.per_class.values()] for s in by_protocol]
    assert len(truth) == 2
    assert truth[0] == truth[1]
