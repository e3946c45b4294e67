from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sobench.errors import DataError
from sobench.metrics.scores import Scores
from sobench.runs import record
from sobench.runs.record import Epoch, nan_to_none
from tests.records import COST, record_of, scored
from tests.tiny_suite import tiny_run


def test_round_trip(tmp_path: Path) -> None:
    run = tiny_run(methods=[{"name": "fpn", "deviations": {"precision": "bf16", "reason": "a"}}])
    history = (Epoch(epoch=1, step=4, losses={"class": 0.5, "total": 0.75}, ap=0.1),)
    before = record_of(run, history=history, skipped={"train": 1, "val": 0}, detections=7)
    record.write(before, tmp_path)
    after = record.read(tmp_path)
    assert after == before
    assert after is not None
    assert after.settings == run.settings
    assert after.deviations == ("precision: bf16 (a)",)
    assert list(tmp_path.iterdir()) == [tmp_path / "record.json"]


def test_undefined_becomes_null(tmp_path: Path) -> None:
    scores = Scores(
        protocol="coco",
        protocol_version=1,
        engine="hotcoco 1.0",
        metrics={"AP": 0.5, "AP_L": math.nan},
        per_class={"car": {"AP": math.nan}},
        curves={"car": {"mean": [1.0, math.nan, math.inf]}},
    )
    record.write(record_of(tiny_run(), scored=scores), tmp_path)
    text = (tmp_path / "record.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["scored"]["metrics"] == {"AP": 0.5, "AP_L": None}
    stored = record.read(tmp_path)
    assert stored is not None
    assert stored.scored is not None
    assert stored.scored.per_class == {"car": {"AP": None}}
    assert stored.scored.curves == {"car": {"mean": [1.0, None, None]}}


def test_nan_to_none_keeps_the_structure() -> None:
    assert nan_to_none({"a": (1.5, -math.inf, [math.nan, "x", 2, None, True])}) == {
        "a": [1.5, None, [None, "x", 2, None, True]]
    }


def test_no_record_yet(tmp_path: Path) -> None:
    assert record.read(tmp_path) is None
    assert record.read(tmp_path / "gone") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"schema_version": 99},
            "not a record of this version: schema_version: 99, but this sobench reads 1; ",
        ),
        ({"status": "fine"}, "not a record of this version: status: "),
        ({"seed": "first"}, "not a record of this version: seed: "),
        ({"scored": {"metrics": {}}}, "not a record of this version: scored.protocol: "),
    ],
)
def test_record_of_another_schema(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    record.write(record_of(tiny_run()), tmp_path)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(DataError) as caught:
        record.read(tmp_path)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "delete it and run the suite again, the training is kept" in str(caught.value)


def test_a_later_schema_is_told_before_its_fields(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"schema_version": 99, "other": "fields"}')
    with pytest.raises(DataError, match=r"schema_version: 99, but this sobench reads 1; "):
        record.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null"])
def test_damaged_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(DataError, match=r"record.json: not a record of this version: content: "):
        record.read(tmp_path)


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
    assert stored.scored == scored(0.5)
