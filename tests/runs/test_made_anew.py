"""What is damaged in a finished run is made anew from its weights, without a training."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sobench.data.load import load
from sobench.metrics.detections import DetectionRow, DetectionTable, write_detections
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.record import Record
from sobench.training.checkpoint_files import list_checkpoints
from tests.runs.matrices import matrix, planned, small
from tests.stored_rows import read_rows, write_rows


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


def finished(tmp_path: Path, *sizes: list[int]) -> tuple[RunFolder, Record]:
    suite = small("fpn", eval_sizes=list(sizes), detect={"score_threshold": 0.0})
    _, records = matrix(suite, tmp_path)
    return RunFolder.of(planned(suite)[0], tmp_path), records["fpn"]


def truth(split: str = "val") -> list[DetectionRow]:
    """The annotations, as if they had been detected."""
    dataset = load(small("fpn").dataset, split)  # type: ignore[arg-type]
    return [
        {"image_id": image.id, "category_id": dataset.category_ids[label],
         "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "score": 0.9}
        for image in dataset.images
        for box, label in zip(image.boxes.tolist(), image.labels.tolist(), strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("harm", ["changed", "old", "gone", "empty", "copied"])
def test_a_record_is_made_anew_from_the_last_checkpoint(tmp_path: Path, harm: str) -> None:
    folder, before = finished(tmp_path)
    text = folder.record.read_text()
    folder.record.write_text(text.replace('"AP": 0.', '"AP": 0.9') if harm == "changed" else "")
    if harm == "old":
        folder.record.write_text(text.replace('"schema_version": 2', '"schema_version": 1'))
    if harm == "gone":
        folder.record.unlink()
    if harm == "copied":
        other, _ = finished(tmp_path / "other")
        folder.record.write_text(other.record.read_text().replace(before.run_id, "s1-0123456789ab"))
    recorder, records = matrix(small("fpn", detect={"score_threshold": 0.0}), tmp_path)
    assert recorder.trained == []
    assert recorder.fresh == ["fpn"]
    after = record.read(folder.path)
    assert after == records["fpn"]
    for name in ("scores", "history", "last_loss", "digests", "settings"):
        assert getattr(after, name) == getattr(before, name), name


@pytest.mark.parametrize("keeps_weights", [True, False])
def test_other_detections_never_score(tmp_path: Path, keeps_weights: bool) -> None:
    folder, _ = finished(tmp_path)
    detections = folder.detections().read_bytes()
    write_rows(folder.detections(), truth())
    if not keeps_weights:
        for path in list_checkpoints(folder.path):
            path.unlink()
    suite = small("fpn", detect={"score_threshold": 0.0}, protocol="tiny")
    recorder, records = matrix(suite, tmp_path)
    assert recorder.trained == ([] if keeps_weights else ["fpn"])
    (warning,) = recorder.warnings
    assert "and its detections are damaged" in warning
    assert warning.endswith("; the run is made anew")
    assert folder.detections().read_bytes() == detections
    scores = records["fpn"].scored_by(suite)
    assert scores is not None
    assert scores.metrics["AP"] is not None
    assert scores.metrics["AP"] < 0.5


def test_detections_that_are_made_anew_keep_the_scores_of_the_old_ones(tmp_path: Path) -> None:
    folder, before = finished(tmp_path, [64, 48])
    at_size = folder.detections("64x48").read_bytes()
    write_rows(folder.detections(), [])
    suite = small("fpn", detect={"score_threshold": 0.0}, protocol="tiny")
    after = matrix(suite, tmp_path)[1]["fpn"]
    assert list(after.scores) == ["coco v1 hotcoco", "tiny v1 hotcoco"]
    assert after.scores["coco v1 hotcoco"] == before.scores["coco v1 hotcoco"]
    assert (after.sizes, after.digests) == (before.sizes, before.digests)
    assert folder.detections("64x48").read_bytes() == at_size


def test_other_weights_keep_no_scores(tmp_path: Path) -> None:
    folder, before = finished(tmp_path, [64, 48])
    digests = before.digests | {"detections.json.gz": "0" * 64}
    record.write(before.model_copy(update={"digests": digests}), folder.path)
    suite = small("fpn", detect={"score_threshold": 0.0}, protocol="tiny")
    after = matrix(suite, tmp_path)[1]["fpn"]
    assert (list(after.scores), after.sizes) == (["tiny v1 hotcoco"], {})
    assert not folder.detections("64x48").exists()


def test_other_detections_at_a_size_never_score(tmp_path: Path) -> None:
    folder, before = finished(tmp_path, [64, 48])
    stored = folder.detections("64x48")
    detections = stored.read_bytes()
    write_rows(stored, truth())
    options = {"eval_sizes": [[64, 48]], "detect": {"score_threshold": 0.0}}
    recorder, records = matrix(small("fpn", **options, protocol="tiny"), tmp_path)
    assert recorder.trained == []
    assert stored.read_bytes() == detections
    after = records["fpn"]
    assert after.digests == before.digests
    assert list(after.sizes["64x48"]) == ["coco v1 hotcoco", "tiny v1 hotcoco"]
    assert after.sizes["64x48"]["coco v1 hotcoco"] == before.sizes["64x48"]["coco v1 hotcoco"]
    assert matrix(small("fpn", **options), tmp_path)[0].fresh == []  # both are there


def test_detections_that_change_while_they_are_scored_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process that writes to the same folder, or a disk that returns other bytes."""

    def others(path: Path, table: DetectionTable) -> str:
        digest = write_detections(path, table)
        write_rows(path, truth())
        return digest

    monkeypatch.setattr("sobench.runs.execute.write_detections", others)
    _, records = matrix(small("fpn"), tmp_path)
    assert records["fpn"].status == "failed"
    assert "its bytes are not those that were written" in records["fpn"].reason


def test_the_record_holds_the_digest_of_every_detections_file(tmp_path: Path) -> None:
    folder, outcome = finished(tmp_path, [64, 48], [32, 32])
    names = ["detections.json.gz", "detections-64x48.json.gz"]
    assert list(outcome.digests) == names
    for name in names:
        rows = read_rows(folder.path / name, outcome.digests[name])
        assert rows == json.loads(gzip.decompress((folder.path / name).read_bytes()))
