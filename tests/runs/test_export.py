"""The ONNX file of a finished run gives torch's candidates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sobench.errors import RequestError, RunError
from sobench.runs import export
from sobench.runs.export import check_exportable, check_onnx, export_onnx, greatest_differences
from sobench.runs.stored import read_stored, trained_detector
from tests.records import isolate
from tests.runs.image_suite import trained

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.mark.slow
def test_the_file_gives_torchs_candidates(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs sobench[onnx]")
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="needs sobench[onnx]")
    suite, folder = trained(tmp_path)
    stored = read_stored(folder, suite.dataset)
    detector = trained_detector(stored, CPU)
    check_exportable(stored)
    content = export_onnx(stored, detector)
    check = check_onnx(content, stored, detector)
    assert check.images == "3 val images"
    assert check.score < 1e-5
    assert check.box < 1e-2
    model = onnx.load_model_from_string(content)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert list(shapes) == ["images", "boxes", "scores", "labels"]
    assert shapes["images"][1:] == [3, 64, 64]
    assert isinstance(shapes["images"][0], str)  # any number of images
    described = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert described["classes"] == ["bolt", "nut"]
    assert described["input"]["size"] == [64, 64]
    assert described["suppression"]["nms"] == suite.detect.nms
    # Other weights are not let through.
    with torch.no_grad():
        for weight in detector.head.parameters():  # type: ignore[attr-defined]
            weight.add_(0.1)
    with pytest.raises(RunError, match=r"differs from torch's by .* on 3 val images; nothing is"):
        check_onnx(content, stored, detector)


def test_two_stages_and_missing_packages_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = trained(tmp_path, head="faster_rcnn")
    stored = read_stored(folder)
    monkeypatch.setattr(export, "find_spec", lambda _: object())
    with pytest.raises(RequestError, match="fpn has two stages, and the second looks at regions"):
        check_exportable(stored)
    monkeypatch.setattr(export, "find_spec", lambda _: None)
    with pytest.raises(RequestError, match=r"needs onnx and onnxscript; .*'sobench\[onnx\]'"):
        check_exportable(stored)


def test_partners_are_of_the_same_image_and_class() -> None:
    boxes = np.array([[[0, 0, 4, 4], [8, 8, 9, 9], [0, 0, 4, 4]]], np.float32)
    scores, labels = np.array([[0.9, 0.5, 0.1]], np.float32), np.array([[0, 1, 1]])
    ones = boxes, scores, labels
    swapped = tuple(part[:, [2, 1, 0]] for part in ones)
    assert greatest_differences(ones, swapped, 0.0) == (0, 0)  # type: ignore[arg-type]
    moved = boxes + np.array([0, 0, 0, 0.5], np.float32), scores + np.float32(0.25), labels
    assert greatest_differences(ones, moved, 0.0) == (0.25, 0.5)
    assert greatest_differences(ones, (boxes[:, :1], scores[:, :1], labels[:, :1]), 0.6) == (0, 0)
    missing = boxes[:, :1], scores[:, :1], labels[:, :1]
    assert greatest_differences(ones, missing, 0.4) == (float("inf"), float("inf"))
