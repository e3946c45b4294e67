"""A training step and a detection of any row on CUDA tensors without values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from sobench.data.targets import Batch, Targets
from sobench.device import autocast
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.models.frozen import cast_frozen, computing_with
from sobench.suite.methods import methods
from sobench.suite.plan import Run, plan
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.models.small_config import no_padding
from tests.tiny_suite import tiny_suite
from tests.training.fake_cuda import CUDA, Log, fake_cuda

CLASSES = 5
BOXES, REGIONS = 7, 2
"""Of each image."""


@dataclass(frozen=True)
class Case:
    """A row, and which stage of its training.

    Attributes:
        suite: sections of the tiny suite that differ.
    """

    name: str
    head: str = "retinanet"
    switches: dict[str, Any] = field(default_factory=dict)
    stage: int = 0
    suite: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        values = (f"{key}={value}" for key, value in self.switches.items())
        backbone = self.suite.get("backbone", {}).get("name", "")
        stage = f"stage-{self.stage + 1}" if self.stage else ""
        return "-".join(part for part in (self.name, self.head, *values, backbone, stage) if part)


_VGG = {"backbone": {"name": "vgg16", "weights": "none", "norm": "train"}}

_SHORTER = {"nas_fpn": {"stack": 2}}
"""Switches that spare repetitions."""

CASES = [
    *(
        Case(name, head, _SHORTER.get(name, {}))
        for name, method in methods().items()
        if not method.source
        for head in method.heads or ("retinanet",)
    ),
    Case("ssd", suite=_VGG | {"input": {"size": [300, 300]}}),
    Case("refinedet", suite=_VGG),
    Case("libra", "faster_rcnn", {"code_compat": True}),
    Case("mrae", "faster_rcnn", {"box_head": "res5"}),
    Case("mrae", switches={"mode": "soft"}),
    Case("efpn", stage=1),
    Case("efpn", "faster_rcnn", stage=1),
    Case("efpn", "faster_rcnn", {"detect_from": "p3_ftt"}),
    Case("zoominnet", switches={"align": "la"}),
    Case("zoominnet", switches={"align": "none"}),
    Case("zoominnet", switches={"distill_loss": "by_map"}),
]


def planned(case: Case, batch_size: int = 2, **sections: Any) -> Run:
    """The run of a case, with those that it requires."""
    regions = {
        "pre_nms_top_n": 50, "post_nms_top_n": 20, "batch_size_per_image": 16, "channels": 16,
    }  # fmt: skip
    settings = {"head": case.head, "precision": "bf16", "regions": regions} | sections | case.suite
    row = {"name": case.name, **case.switches}
    suite = tiny_suite(**settings, schedule={"batch_size": batch_size}, methods=[row])
    return plan(suite)[0]


def built(run: Run, device: torch.device) -> Detector:
    """The detector as its training begins, on the device."""

    def build(run: Run) -> Detector:
        detector = build_detector(run.suite, run.entry, CLASSES, run.seed)
        return detector.to(device).to(memory_format=torch.channels_last)

    detector = build(run)
    for role, required in run.requires:
        detector.load_required(role, build(required))
    return detector


def empty_batch(run: Run, images_2x: bool, boxes: int = BOXES) -> Batch:
    """Images and targets of a run as a loader gives them; what they show does not matter."""
    count, (height, width) = run.suite.schedule.batch_size, run.suite.input.size

    def images(scale: int) -> torch.Tensor:
        pixels = torch.zeros(count, scale * height, scale * width, 3, dtype=torch.uint8)
        return pixels.permute(0, 3, 1, 2)

    low = torch.rand(count, boxes, 2) * 20
    corners = torch.cat((low, low + 12), dim=2)
    targets = Targets(
        corners,
        torch.zeros(count, boxes, dtype=torch.int64),
        torch.zeros(count, REGIONS, 4),
        no_padding(count),
    )
    return Batch(images(1), targets, images(2) if images_2x else None)


def rehearse_training(case: Case, run: Run, boxes: int = BOXES) -> Log:
    """What happens on the device in a step of the training that is not the first."""
    with fake_cuda() as log:
        detector = built(run, CUDA)
        assert all(callable(getattr(detector, name)) for name in detector.compiled)
        stage = detector.stages[case.stage]
        detector.start_stage(stage)
        detector.train()
        optimizer = make_optimizer(detector, run.suite.schedule)
        frozen = cast_frozen(detector, run.suite.precision)
        batch = empty_batch(run, stage.images_2x, boxes)
        for _ in range(2):  # the first one makes constants and the optimizer's state
            log.waits.clear()
            log.launches = 0
            with computing_with(frozen):
                train_step(detector, optimizer, batch, 1e-3, 10, run.suite.precision)
        return log


def rehearse_detection(run: Run) -> None:
    """Detect on a batch of images."""
    with fake_cuda(), torch.no_grad():
        detector = built(run, CUDA).eval()
        images = empty_batch(run, images_2x=False).images.to(CUDA)
        with autocast(run.suite.precision, CUDA):
            detections = detector(images)
        for x in (detections.boxes, detections.scores, detections.labels):
            assert x.device == CUDA
