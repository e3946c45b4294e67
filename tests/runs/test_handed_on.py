"""What a run hands on to building, training and detecting is what its suite says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sobench.data.load import load
from sobench.data.resize import box_wh
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.runs.detect import detect
from sobench.training.data import TrainingData
from sobench.training.loop import train
from sobench.training.outcome import send
from tests.runs.matrices import matrix, planned, small


@pytest.fixture(autouse=True)
def _no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps change nothing and costs are not measured, since other tests are about them."""
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))
    step = send({"total": torch.tensor(1.0)}, torch.tensor(2.0))
    monkeypatch.setattr("sobench.training.loop.train_step", lambda *_: step)
    monkeypatch.setattr("sobench.runs.cost.measure_latency", lambda *_: 1.0)
    monkeypatch.setattr("sobench.runs.cost.count_gflops", lambda *_: 1.0)


def test_a_training_gets_what_its_suite_and_seed_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small(
        "fpn", seeds=[5], precision="bf16", evaluate_every=1,
        augment={"hflip": 0.25, "photometric": 0.125},
    )  # fmt: skip
    (run,) = planned(suite)
    seen: dict[str, Any] = {}

    def spy(detector: Detector, data: TrainingData, *others: Any, **named: Any) -> Any:
        seen.update(named, data=data, schedule=others[0])
        seen["weights"] = {k: v.clone() for k, v in detector.state_dict().items()}
        return train(detector, data, *others, **named)

    monkeypatch.setattr("sobench.runs.train.train", spy)
    _, records = matrix(suite, tmp_path)
    assert {key: seen[key] for key in ("run_id", "seed", "precision", "evaluate_every")} == {
        "run_id": run.id, "seed": 5, "precision": "bf16", "evaluate_every": 1,
    }  # fmt: skip
    data = seen["data"]
    assert (data.input, data.augment, seen["schedule"]) == (
        suite.input, suite.augment, suite.schedule,
    )  # fmt: skip
    training = load(suite.dataset, "train")
    assert [image.name for image in data.dataset.images] == [i.name for i in training.images]
    fresh = build_detector(suite, run.entry, 5, 5, box_wh(training, suite.input))
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, seen["weights"][name]), name
    assert records["fpn"].history[0].ap is not None


def test_all_detections_are_by_the_networks_and_in_the_precision_of_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small("fpn", precision="bf16", evaluate_every=1, eval_sizes=[[64, 48]])
    seen: list[tuple[Any, ...]] = []
    boxes: list[Any] = []

    def detecting(detector: Detector, images: Any, *others: Any, **named: Any) -> Any:
        seen.append((images[0].shape[:2], others[1].size, named["batch_size"], named["precision"]))
        return detect(detector, images, *others, **named)

    def building(*arguments: Any) -> Detector:
        boxes.append(arguments[4])
        return build_detector(*arguments)

    for module in ("train", "evaluate"):
        monkeypatch.setattr(f"sobench.runs.{module}.detect", detecting)
    monkeypatch.setattr("sobench.runs.weights.build_detector", building)
    _, records = matrix(suite, tmp_path)
    assert records["fpn"].status == "ok"
    assert seen == [
        *[((32, 32), (32, 32), 2, "bf16")] * 2,  # after the epoch, and at the end
        ((64, 48), (64, 48), 2, "bf16"),
    ]
    # Anchors may be fitted to the boxes of the scenes of 64 px, at 32 px whatever is tested.
    training = load(suite.dataset, "train")
    halved = np.concatenate([(i.boxes[:, 2:] - i.boxes[:, :2]) / 2 for i in training.images])
    assert len(boxes) == 2
    for of_detector in boxes:
        np.testing.assert_allclose(of_detector, halved)


def test_the_curve_of_a_part_is_by_the_suites_protocol_and_engine_and_partial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small("fpn", protocol="tiny", engine="pycocotools", evaluate_every=1)
    seen: list[tuple[str, str]] = []

    def spy(_dataset: Any, _rows: Any, protocol: Any, engine: str) -> Any:
        seen.append((protocol.name, engine))
        return SimpleNamespace(metrics={"AP": 0.25, "AP50": 0.75, "AP75": 0.125})

    def interim(*arguments: Any, **named: Any) -> Any:
        with monkeypatch.context() as during:
            during.setattr("sobench.runs.train.score", spy)
            return train(*arguments, **named)

    monkeypatch.setattr("sobench.runs.train.train", interim)
    _, records = matrix(suite, tmp_path, limit=2, partial=["--limit 2"])
    assert seen == [("tiny", "pycocotools")]
    outcome = records["fpn"]
    (epoch,) = outcome.history
    assert (epoch.ap, epoch.ap50) == (0.25, 0.75)
    assert (outcome.status, outcome.reason) == ("partial", "--limit 2")
    assert outcome.images == {"train": 2, "val": 2}


@pytest.mark.parametrize(("resident_mb", "told"), [(0, 1000.0), (100, 900.0), (800, 300.0)])
def test_images_that_a_gpu_keeps_are_not_counted_as_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resident_mb: int, told: float
) -> None:
    """The peak is that of the training without them, or that of what comes afterwards."""
    resets: list[Any] = []
    monkeypatch.setattr(TrainingData, "resident_bytes", resident_mb * 2**20)
    monkeypatch.setattr("sobench.runs.train.peak_memory_mb", lambda _: 1000.0)
    monkeypatch.setattr("sobench.runs.train.reset_peak_memory", resets.append)
    monkeypatch.setattr("sobench.runs.cost.peak_memory_mb", lambda _: 300.0)
    _, records = matrix(small("fpn"), tmp_path)
    cost = records["fpn"].cost
    assert cost is not None
    assert cost.peak_memory_mb == told
    assert len(resets) == bool(resident_mb)
