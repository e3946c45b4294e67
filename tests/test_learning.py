"""A detector that does not learn is broken, whatever its shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from sobench.catalog import METHODS
from sobench.data import synthetic
from sobench.data.batches import training_batches
from sobench.data.dataset import FloatArray
from sobench.data.resize import box_sizes, resize
from sobench.detect import detect
from sobench.metrics.detection import score
from sobench.models.build import build_detector
from sobench.plan import Run
from sobench.protocols import PROTOCOLS
from sobench.settings import SyntheticData
from sobench.train import make_optimizer, train_step
from tests.tiny import tiny_suite

CPU = torch.device("cpu")
CASES = [(name, head) for name, row in METHODS.items() for head in row.heads or ("retinanet",)]
ANCHORS: dict[str, dict[str, Any]] = {
    "retinanet": {"scale": 2},
    "faster_rcnn": {"scale": 3, "octaves": 2},
}
RATE = 0.002
STEPS = {"retinanet": 240, "faster_rcnn": 360}
DEEP_STEPS = {"retinanet": 220, "faster_rcnn": 320}
"""Of four images instead of two, for a neck of some thirty convolutions in a row from scratch."""


def _overfit(
    method: str, head: str, images: int, side: int, batch_size: int, steps: int
) -> tuple[dict[str, list[float]], float]:
    """Train on a handful of scenes; every loss by step, and AP50 on the same scenes."""
    suite = tiny_suite(
        dataset={"train": images, "size": [96, 96], "objects": [6, 12]},
        input={"size": [side, side]},
        neck={"channels": 64, "norm": "group", "tower_convs": 1},
        head=head,
        anchors=ANCHORS[head],
        regions={"candidates": 600, "proposals": 100, "samples": 64, "channels": 256},
        augment={"hflip": 0},
        schedule={"batch_size": batch_size, "optimizer": "adamw", "lr": RATE},
        methods=[method],
    )
    run = Run(suite, suite.methods[0], 0, "")
    assert isinstance(suite.dataset, SyntheticData)
    dataset = synthetic.read(suite.dataset, "train")
    pixels = np.stack([resize(dataset.read_image(i), suite.input) for i in range(images)])
    sizes = box_sizes(dataset, suite.input)
    detector = build_detector(suite, run.entry, 5, 0, sizes).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(detector, suite.schedule)
    rows: list[dict[str, float]] = []
    torch.manual_seed(0)
    while len(rows) < steps:
        for batch in training_batches(
            dataset, pixels, suite.input, suite.augment, batch_size, 0, len(rows)
        ):
            done = len(rows) / steps
            rate = RATE * min(1, (len(rows) + 1) / 10) * 0.5 * (1 + math.cos(math.pi * done))
            detector.train()
            rows.append(train_step(detector, optimizer, batch, rate, run, CPU))
    losses = {part: [row[part] for row in rows] for part in rows[0]}
    found = detect(run, detector, dataset, pixels, CPU)
    return losses, score(dataset, found, PROTOCOLS["tiny"]).metrics["AP50"]


def _fall(losses: Sequence[float] | FloatArray) -> float:
    """The last losses over the first."""
    return float(np.mean(losses[-3:]) / np.mean(losses[:3]))


@pytest.mark.parametrize(("method", "head"), CASES)
def test_a_method_begins_to_learn(method: str, head: str) -> None:
    losses, _ = _overfit(method, head, images=4, side=96, batch_size=2, steps=20)
    if head == "faster_rcnn":
        # The better the first stage finds objects, the more the second has to tell apart, so its
        # boxes may cost more than in the beginning, when hardly a region was an object.
        told_apart = np.add(losses["objectness"], losses["class"])
        assert _fall(told_apart) < 0.5
    else:
        assert _fall(losses["total"]) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("method", "head"), CASES)
def test_a_method_learns_eight_images_by_heart(method: str, head: str) -> None:
    deep = method == "nas_fpn"
    steps = (DEEP_STEPS if deep else STEPS)[head]
    losses, ap50 = _overfit(
        method, head, images=8, side=144, batch_size=4 if deep else 2, steps=steps
    )
    assert _fall(losses["total"]) < (0.2 if head == "faster_rcnn" else 0.1)
    assert ap50 >= 0.9
