"""A detector that does not learn is broken, whatever its shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sobench.catalog import METHODS, PROTOCOLS
from sobench.data import synthetic
from sobench.data.batches import training_batches
from sobench.detect import detect
from sobench.metrics.detection import score
from sobench.models.build import build_detector
from sobench.plan import Run
from sobench.settings import SyntheticData
from sobench.train import make_optimizer, train_step
from tests.tiny import tiny_suite

CPU = torch.device("cpu")


def _overfit(method: str, images: int, steps: int) -> tuple[list[float], float]:
    """Train on a handful of scenes; total losses, and AP50 on the same scenes."""
    suite = tiny_suite(
        dataset={"train": images, "size": [96, 96], "objects": [6, 12]},
        input={"size": [144, 144]},
        neck={"channels": 64, "norm": "group", "tower_convs": 1},
        anchors={"scale": 2},
        augment={"hflip": 0},
        schedule={"batch_size": 4, "optimizer": "adamw", "lr": 0.002},
        methods=[method],
    )
    run = Run(suite, suite.methods[0], 0, "")
    assert isinstance(suite.dataset, SyntheticData)
    dataset = synthetic.read(suite.dataset, "train")
    pixels = np.stack([dataset.read_image(i) for i in range(images)])
    if suite.input.size != suite.dataset.size:
        pixels = pixels.repeat(3, axis=1).repeat(3, axis=2)[:, ::2, ::2]  # 96 -> 144
    detector = build_detector(suite, run.entry, 5, 0).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(detector, suite.schedule)
    losses: list[float] = []
    while len(losses) < steps:
        for batch in training_batches(
            dataset, pixels, suite.input, suite.augment, 4, 0, len(losses)
        ):
            done = len(losses) / steps
            rate = 0.002 * min(1, (len(losses) + 1) / 10) * 0.5 * (1 + math.cos(math.pi * done))
            detector.train()
            losses.append(train_step(detector, optimizer, batch, rate, run, CPU)["total"])
    rows = detect(run, detector, dataset, pixels, CPU)
    return losses, score(dataset, rows, PROTOCOLS["tiny"]).metrics["AP50"]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_begins_to_learn(method: str) -> None:
    losses, _ = _overfit(method, images=4, steps=24)
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_method_learns_eight_images_by_heart(method: str) -> None:
    losses, ap50 = _overfit(method, images=8, steps=160)
    assert losses[-1] < 0.1 * losses[0]
    assert ap50 >= 0.9
