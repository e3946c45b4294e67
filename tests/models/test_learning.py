"""Every method learns: its losses fall, and it overfits a handful of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from sobench.data.batches import training_batches
from sobench.data.dataset import Dataset, FloatArray, ImageArray
from sobench.data.resize import at_double_size, box_wh, resize
from sobench.data.synthetic import scenes as synthetic
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.runs.detect import detect
from sobench.suite.datasets import SyntheticData
from sobench.suite.input import Input
from sobench.suite.methods import methods
from sobench.suite.plan import Run, plan
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.sections import Suite
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.metrics.scoring_cases import score
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")
CASES = [(name, head) for name, row in methods().items() for head in row.heads or ("retinanet",)]
ANCHORS: dict[str, dict[str, Any]] = {
    "retinanet": {"smallest": 16},
    "faster_rcnn": {"smallest": 12, "octaves": 2},
}
RATE = 0.002
STEPS = {"retinanet": 240, "faster_rcnn": 360}
DEEP_STEPS = {"retinanet": 220, "faster_rcnn": 320}
"""Of four images instead of two, for a neck of some thirty convolutions in a row from scratch."""


@dataclass(frozen=True)
class Lesson:
    """A handful of scenes, and the length of a training on them.

    Attributes:
        images: number of scenes.
        side: of the network input, in pixels.
        steps: of a stage that lasts as long as the suite's epochs.
    """

    images: int
    side: int
    batch_size: int
    steps: int


def _suite(method: str, head: str, lesson: Lesson) -> Suite:
    return tiny_suite(
        dataset={"train": lesson.images, "size": [96, 96], "objects": [6, 12]},
        input={"size": [lesson.side, lesson.side]},
        neck={"channels": 64, "norm": "group", "tower_convs": 1},
        head=head,
        anchors=ANCHORS[head],
        regions={
            "pre_nms_top_n": 600,
            "post_nms_top_n": 100,
            "batch_size_per_image": 64,
            "channels": 256,
        },
        augment={"hflip": 0},
        schedule={"batch_size": lesson.batch_size, "optimizer": "adamw", "lr": RATE},
        methods=[method],
    )


def _overfit(run: Run, lesson: Lesson) -> tuple[Detector, list[dict[str, list[float]]]]:
    """Train a run, and before it the runs that it requires, on a handful of scenes.

    Returns:
        the detector, and for each stage every loss by step.
    """
    dataset, pixels = _scenes(run.suite.input, lesson)
    detector = build_detector(run.suite, run.entry, 5, 0, box_wh(dataset, run.suite.input))
    detector = detector.to(memory_format=torch.channels_last)
    for role, required in run.requires:
        detector.load_required(role, _overfit(required, lesson)[0])
    _, images_2x = _scenes(at_double_size(run.suite.input), lesson)
    torch.manual_seed(0)
    stages = []
    for stage in detector.stages:
        detector.start_stage(stage)
        optimizer = make_optimizer(detector, run.suite.schedule)
        clip_norm = run.suite.schedule.clip_norm
        losses: list[dict[str, float]] = []
        steps = round(lesson.steps * stage.share)
        while len(losses) < steps:
            for batch in training_batches(
                dataset, pixels, run.suite.input, run.suite.augment, lesson.batch_size, 0,
                len(losses), images_2x=images_2x if stage.images_2x else None,
            ):  # fmt: skip
                done = len(losses) / steps
                rate = RATE * min(1, (len(losses) + 1) / 10) * 0.5 * (1 + math.cos(math.pi * done))
                detector.train()
                outcome = train_step(detector, optimizer, batch, rate, clip_norm, "fp32")
                losses.append(outcome.read()[0])
        stages.append({part: [step[part] for step in losses] for part in losses[0]})
    return detector, stages


def _scenes(settings: Input, lesson: Lesson) -> tuple[Dataset, ImageArray]:
    scenes = tiny_suite(dataset={"train": lesson.images, "size": [96, 96], "objects": [6, 12]})
    assert isinstance(scenes.dataset, SyntheticData)
    dataset = synthetic.read(scenes.dataset, "train")
    images = [resize(dataset.read_image(i), settings) for i in range(lesson.images)]
    return dataset, np.stack(images)


def _fall(losses: Sequence[float] | FloatArray) -> float:
    """The last losses over the first."""
    return float(np.mean(losses[-3:]) / np.mean(losses[:3]))


@pytest.mark.parametrize(("method", "head"), CASES)
def test_a_method_begins_to_learn(method: str, head: str) -> None:
    lesson = Lesson(images=4, side=96, batch_size=2, steps=20)
    (run,) = plan(_suite(method, head, lesson), "")
    _, (losses, *later) = _overfit(run, lesson)
    if "objectness" in losses:
        # The better the first stage finds objects, the more the second has to tell apart, so its
        # boxes may cost more than in the beginning, when hardly a region was an object.
        told_apart = np.add(losses["objectness"], losses["class"])
        assert _fall(told_apart) < 0.5
    else:
        assert _fall(losses["total"]) < 0.5
    for stage in later:  # it starts from the weights of the stage before
        assert _fall(stage["class"]) < 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("method", "head"), CASES)
def test_a_method_overfits_eight_images(method: str, head: str) -> None:
    deep = method == "nas_fpn"
    lesson = Lesson(8, 144, 4 if deep else 2, (DEEP_STEPS if deep else STEPS)[head])
    (run,) = plan(_suite(method, head, lesson), "")
    detector, stages = _overfit(run, lesson)
    dataset, pixels = _scenes(run.suite.input, lesson)
    settings = run.suite.input
    options: dict[str, Any] = {"batch_size": lesson.batch_size, "precision": "fp32"}
    detections = detect(detector, pixels, dataset, settings, **options)
    ap50 = score(dataset, detections, PROTOCOLS["tiny"]).metrics["AP50"]
    *before, last = stages
    assert _fall(last["total"]) < (0.2 if head == "faster_rcnn" else 0.1)
    for stage in before:  # maps approach those of a teacher and never reach them
        assert _fall(stage["total"]) < 0.25
    assert ap50 is not None
    assert ap50 >= 0.9
