"""A finished run detects on image files what it detected on the val images."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sobench.errors import RequestError, RunError
from sobench.runs.predict import GroundTruth, Prediction, list_files, predict
from sobench.runs.stored import read_stored, trained_detector
from sobench.suite.sections import Suite
from tests.records import isolate
from tests.runs.image_suite import image_suite, trained, write_dataset

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def refuse(folder: Path, words: str, suite: Suite | None = None) -> None:
    with pytest.raises((RequestError, RunError), match=words):
        trained_detector(read_stored(folder, suite.dataset if suite else None), CPU)


def predictions(
    suite: Suite, folder: Path, places: list[Path], threshold: float = 0.0
) -> list[Prediction]:
    stored = read_stored(folder, suite.dataset)
    truth, warnings = GroundTruth(suite.dataset), list[str]()
    files = list_files(places, warnings.append)
    detector = trained_detector(stored, CPU)
    found = list(predict(stored, detector, files, threshold, truth, warnings.append))
    assert warnings == []
    return found


def stored_rows(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        gzip.decompress((folder / "detections.json.gz").read_bytes())
    )
    return rows


SETTINGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "stretch": ("fpn", {}),
    "letterbox": ("fpn", {"input": {"size": [64, 96], "resize": "letterbox"}}),
    "shorter side": ("fpn", {"input": {"size": [48, 64], "resize": "shorter_side"}}),
    "ssd": ("ssd", {}),
    "two stages": ("fpn", {"head": "faster_rcnn"}),
    "fitted anchors": ("fpn", {"anchors": "fit"}),
    "anchors of the paper": ({"name": "mrae", "anchors": "paper"}, {}),
    "a deviation": (
        {"name": "fpn", "deviations": {"input.size": [96, 64], "reason": "a try"}}, {},
    ),
    "bf16": ("fpn", {"precision": "bf16", "input": {"size": [96, 96]}}),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
def test_val_images_have_the_detections_of_the_run(tmp_path: Path, case: str) -> None:
    method, changes = SETTINGS[case]
    suite, folder = trained(tmp_path, method, **changes)
    found = predictions(suite, folder, [tmp_path / "data" / "images"])
    rows = [
        row | {"image_id": number, "category_id": 7 + row["category_id"]}
        for number, prediction in enumerate(found, 1)
        for row in prediction.rows
    ]
    assert rows == stored_rows(folder)
    assert len(rows) > 10
    # An image alone is a smaller batch, which is computed in another order.
    (alone,) = predictions(suite, folder, [tmp_path / "data" / "images" / "2.png"])
    assert len(alone.rows) == len(found[1].rows)
    for row, other in zip(alone.rows[:5], found[1].rows, strict=False):
        assert row["bbox"] == pytest.approx(other["bbox"], abs=0.01)
        assert row["score"] == pytest.approx(other["score"], abs=1e-5)


def test_anchors_that_are_fitted_need_the_same_data(tmp_path: Path) -> None:
    suite, folder = trained(tmp_path, anchors="fit")
    refuse(folder, "are fitted to the training boxes; add --suite SUITE")
    content = json.loads((tmp_path / "data" / "all.json").read_text())
    content["annotations"][0]["bbox"] = [3, 4, 30, 30]
    (tmp_path / "data" / "all.json").write_text(json.dumps(content))
    refuse(folder, r"another state of the data \(\w{12}; now \w{12}\), to which its anchors", suite)


def test_a_run_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    suite, folder = trained(tmp_path)
    other = suite.model_copy(
        update={"dataset": suite.dataset.model_copy(update={"val": "other.json"})}
    )
    refuse(folder, 'dataset.val is "other.json", and "all.json" of the run', other)
    refuse(tmp_path / "nowhere", "nowhere: no such file or folder; give the folder of a finished")
    refuse(tmp_path / "results", f"no record.json; give the folder of one run, such as {folder}")
    refuse(tmp_path / "data", r"no record.json; .* such as results/SUITE/METHOD/s0-")
    (checkpoint,) = folder.glob("checkpoint-*.pt")
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[:-1] + b"!")
    refuse(folder, "damaged .its checksum is .*delete that file, and the run is trained anew")
    checkpoint.unlink()
    refuse(folder, "needs the weights of fpn seed 0, tiny: .* has no checkpoint of its last step")


def test_a_run_of_other_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = trained(tmp_path)
    monkeypatch.setattr("sobench.runs.stored.RESULTS_VERSION", 99)
    refuse(
        folder, r"was trained by other code \(results version \d there, 99 here\); use that code"
    )


def test_ground_truth_is_of_the_file_with_its_folders(tmp_path: Path) -> None:
    truth = GroundTruth(image_suite(tmp_path).dataset)
    for name, width in (("1.png", 13), ("2.png", 14)):
        found = truth.find(tmp_path / "data" / "images" / name)
        assert found is not None
        assert found.boxes.tolist() == [[3, 4, 3 + width, 14]]
    assert truth.find(tmp_path / "elsewhere" / "1.png") is not None  # named without a folder
    assert truth.find(tmp_path / "data" / "images" / "9.png") is None


def test_images_are_listed_once_and_named_apart(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", [(8, 8), (8, 8)])
    images, warnings = tmp_path / "data" / "images", list[str]()
    (tmp_path / "empty").mkdir()
    places = [images / "2.png", images, tmp_path / "data", tmp_path / "empty", Path("gone/2.jpg")]
    files = list_files(places, warnings.append)
    assert [(file.path, file.name) for file in files] == [
        (images / "2.png", "2"), (images / "1.png", "1"), (Path("gone/2.jpg"), "2-2"),
    ]  # fmt: skip
    assert warnings == [f"{tmp_path / 'empty'}: no images in this folder"]
