"""Every step gets its batch, rate, limit and precision from the suite and the seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sobench.data.batches import training_batches
from sobench.data.synthetic import scenes
from sobench.data.targets import Batch
from sobench.models.build import build_detector
from sobench.models.detector import Detector, Stage
from sobench.suite.datasets import SyntheticData
from sobench.suite.plan import Run
from sobench.training.data import TrainingData
from sobench.training.loop import train
from sobench.training.outcome import StepOutcome, send
from tests.tiny_suite import tiny_run


class Steps:
    """Stands for ``train_step`` and notes what it is given."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []
        self.settings: list[tuple[float, float | None, str]] = []
        self.seeds: set[int] = set()
        self.is_training: list[bool] = []
        self.optimised: list[int] = []

    def __call__(
        self, detector: Detector, optimizer: Any, batch: Batch, lr: float, *others: Any
    ) -> StepOutcome:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.optimised.append(sum(weight.numel() for weight in weights))
        self.images.append(batch.images.clone())
        self.settings.append((lr, *others))
        self.seeds.add(torch.initial_seed())
        self.is_training.append(detector.training)
        return send({"total": torch.tensor(1.0)}, torch.tensor(2.0))


def _steps(
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Detector], None] = lambda _: None,
) -> tuple[Steps, list[Tensor]]:
    """What the steps got, and the images of the batches of the run's seed, epoch by epoch."""
    steps, suite = Steps(), run.suite
    monkeypatch.setattr("sobench.training.loop.train_step", steps)
    assert isinstance(suite.dataset, SyntheticData)
    dataset = scenes.read(suite.dataset, "train")
    images = np.stack([dataset.read_image(index) for index in range(len(dataset.images))])
    detector = build_detector(suite, run.entry, 5, run.seed)
    prepare(detector)

    def score() -> dict[str, float | None]:
        detector.eval()
        return {"ap": 0.5, "ap50": 0.5}

    train(
        detector, TrainingData(dataset, images, suite.input, suite.augment), suite.schedule, folder,
        run_id=run.id, seed=run.seed, precision=suite.precision, log_path=folder / "log.jsonl",
        score=score, on_step=lambda _: None, warn=pytest.fail, evaluate_every=1,
    )  # fmt: skip
    expected = [
        batch.images
        for epoch in range(suite.schedule.epochs)
        for batch in training_batches(
            dataset, images, suite.input, suite.augment, suite.schedule.batch_size, run.seed, epoch
        )
    ]
    return steps, expected


def test_a_step_gets_the_batch_rate_limit_and_precision_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = {"epochs": 2, "lr": 0.5, "clip_norm": 7.5, "milestones": [1], "gamma": 0.5}
    run = tiny_run(seed=3, precision="bf16", schedule=schedule)
    steps, images = _steps(run, tmp_path, monkeypatch)
    assert len(steps.images) == len(images) == 6
    assert all(map(torch.equal, steps.images, images))
    # Two steps of warm-up from a tenth; half the rate from the second epoch on.
    rates = [0.05, 0.275, 0.5, 0.25, 0.25, 0.25]
    assert [rate for rate, _, _ in steps.settings] == pytest.approx(rates)
    assert {(limit, precision) for _, limit, precision in steps.settings} == {(7.5, "bf16")}
    assert all(steps.is_training)  # also after a scoring
    assert steps.seeds == {3}


def test_each_stage_trains_the_weights_that_it_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def in_two_stages(detector: Detector) -> None:
        def start(stage: Stage) -> None:
            detector.backbone.requires_grad_(stage.name == "all")

        detector.stages = (Stage("without backbone", 1.0), Stage("all", 0.5))
        detector.start_stage = start  # type: ignore[method-assign]
        parts = (detector, detector.backbone)
        whole, backbone = (sum(p.numel() for p in part.parameters()) for part in parts)
        sizes.extend((whole - backbone, whole))

    run = tiny_run(schedule={"epochs": 2, "milestones": []})
    steps, _ = _steps(run, tmp_path, monkeypatch, in_two_stages)
    assert steps.optimised == [sizes[0]] * 6 + [sizes[1]] * 3
