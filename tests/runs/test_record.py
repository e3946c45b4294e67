from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sobench.metrics.scores import Scores
from sobench.runs import record
from sobench.runs.record import Epoch, nan_to_none
from tests.records import COST, record_of, scored
from tests.tiny_suite import tiny_run, tiny_suite


def test_round_trip(tmp_path: Path) -> None:
    run = tiny_run(methods=[{"name": "fpn", "deviations": {"precision": "bf16", "reason": "a"}}])
    history = (Epoch(epoch=1, step=4, losses={"class": 0.5, "total": 0.75}, ap=0.1),)
    before = record_of(run, history=history, skipped={"train": 1, "val": 0}, detections=7)
    folder = run.folder(tmp_path)
    record.write(before, folder)
    after = record.read(folder)
    assert after == before
    assert after is not None
    assert after.settings == run.settings
    assert after.deviations == ("precision: bf16 (a)",)
    assert list(folder.iterdir()) == [folder / "record.json"]


def test_undefined_becomes_null(tmp_path: Path) -> None:
    scores = Scores(
        protocol="coco",
        protocol_version=1,
        engine="hotcoco 1.0",
        metrics={"AP": 0.5, "AP_L": math.nan},
        per_class={"car": {"AP": math.nan}},
        curves={"car": {"mean": [1.0, math.nan, math.inf]}},
    )
    run = tiny_run()
    folder = run.folder(tmp_path)
    record.write(record_of(run, scored=scores), folder)
    text = (folder / "record.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["scores"]["coco v1 hotcoco"]["metrics"] == {"AP": 0.5, "AP_L": None}
    stored = record.read(folder)
    assert stored is not None
    (after,) = stored.scores.values()
    assert after.per_class == {"car": {"AP": None}}
    assert after.curves == {"car": {"mean": [1.0, None, None]}}


def test_nan_to_none_keeps_the_structure() -> None:
    assert nan_to_none({"a": (1.5, -math.inf, [math.nan, "x", 2, None, True])}) == {
        "a": [1.5, None, [None, "x", 2, None, True]]
    }


def test_no_record_yet(tmp_path: Path) -> None:
    assert record.read(tmp_path) is None
    assert record.read(tmp_path / "gone") is None


def test_records_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        record_of(tiny_run()).seed = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        COST.gflops = 3.0  # type: ignore[misc]


def test_identity_names_the_run() -> None:
    run = tiny_run(seed=3)
    stored = record_of(run)
    assert (stored.run_id, stored.settings_id, stored.seed) == (run.id, run.settings_id, 3)
    assert (stored.suite, stored.method, stored.label) == ("tiny", "fpn", "fpn")
    assert stored.data == run.data
    assert stored.scores == {"coco v1 hotcoco": scored(0.5)}
    assert stored.scored_by(run.suite) == scored(0.5)
    assert stored.scored_by(tiny_suite(protocol="tiny")) is None
    assert stored.scored_by(tiny_suite(engine="pycocotools")) is None
