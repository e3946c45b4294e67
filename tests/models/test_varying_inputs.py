"""Every method on batches whose canvases differ: it trains, detects, and clips to the canvas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sobench.data.batches import training_batches
from sobench.data.resize import resize
from sobench.data.synthetic import scenes
from sobench.data.targets import Targets
from sobench.metrics.cost import count_gflops
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.runs.detect import detect
from sobench.suite.datasets import SyntheticData
from sobench.suite.input import Input
from sobench.suite.methods import methods
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.data.test_padding import pictures
from tests.models.small_config import targets
from tests.tiny_suite import tiny_suite

CANVASES = [(96, 160), (160, 96), (96, 96)]
"""In multiples of 32, though not of 128; the last would do for a batch of squares."""
SETTINGS: dict[str, Any] = {"size": [96, 160], "resize": "shorter_side"}
REGIONS = {"pre_nms_top_n": 100, "post_nms_top_n": 30, "batch_size_per_image": 16, "channels": 16}
CASES = [(name, head) for name, row in methods().items() for head in row.heads or ("retinanet",)]
SWITCHED = [
    ("zoominnet", "retinanet", {"align": "la"}),
    ("zoominnet", "retinanet", {"align": "none"}),
    ("refinedet", "retinanet", {"clip_anchors": True}),
    ("refinedet", "retinanet", {"tcb": False}),
    ("mrae", "faster_rcnn", {"box_head": "res5"}),
    ("nas_fpn", "retinanet", {"pool": "max"}),
    ("libra", "faster_rcnn", {"refine": "conv"}),
    ("efpn", "faster_rcnn", {"ftt": "espcn"}),
]


def network(name: str, head: str, size: tuple[int, int] = (96, 160), **switches: Any) -> Detector:
    """For inputs of up to 160 x 160 pixels; an EFPN and a ZoomInNet with what they require."""
    suite = tiny_suite(
        input=SETTINGS | {"size": list(size)}, head=head, regions=REGIONS,
        neck={"channels": 16, "tower_convs": 2}, methods=[{"name": name, **switches}],
        detect={"score_threshold": 0.0, "nms": 0.9},
    )  # fmt: skip
    detector = build_detector(suite, suite.methods[0], 3, 0)
    if name == "efpn":
        detector.load_required("baseline", network("fpn", head))
    if name == "zoominnet":
        detector.load_required("teacher", network("fpn", head, (192, 320)))
    return detector


def scene(canvas: tuple[int, int]) -> tuple[Tensor, Targets, Tensor]:
    """Two images with an object each, the second with padding right and below; also doubled."""
    height, width = canvas
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, height, width), generator=generator, dtype=torch.uint8)
    truth = targets([[(8.0, 8.0, 40.0, 40.0)], [(20.0, 10.0, 36.0, 30.0)]], [[0], [2]])
    truth.borders[1] = torch.tensor([-torch.inf, -torch.inf, width - 20, height - 30])
    return images, truth, images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


@pytest.mark.parametrize(("name", "head"), CASES)
def test_a_method_trains_and_detects_on_every_canvas(name: str, head: str) -> None:
    check_every_canvas(network(name, head))


@pytest.mark.parametrize(("name", "head", "switches"), SWITCHED)
def test_its_switches_do_too(name: str, head: str, switches: dict[str, Any]) -> None:
    check_every_canvas(network(name, head, **switches))


def check_every_canvas(detector: Detector) -> None:
    """Losses and gradients of every stage are finite, and detections end at the canvas."""
    for canvas in CANVASES:
        images, truth, images_2x = scene(canvas)
        for stage in detector.stages:
            detector.train().start_stage(stage)
            detector.zero_grad()
            losses = detector(images, truth, images_2x if stage.images_2x else None)
            total = torch.stack([*losses.values()]).sum()
            total.backward()  # type: ignore[no-untyped-call]
            assert torch.isfinite(total)
            grads = [p.grad for p in detector.parameters() if p.grad is not None]
            assert all(torch.isfinite(grad).all() for grad in grads)
            assert any(grad.any() for grad in grads)
        with torch.no_grad():
            detections = detector.eval()(images)
        real = detections.labels >= 0
        assert real.any()
        height, width = canvas
        assert (detections.boxes[real] >= 0).all()
        assert (detections.boxes[real] <= torch.tensor([width, height, width, height])).all()


@pytest.mark.parametrize(("name", "head"), CASES)
def test_detections_do_not_depend_on_the_batch(name: str, head: str) -> None:
    settings = Input.model_validate(SETTINGS)
    sizes = [(60, 100), (100, 60), (50, 50), (96, 160), (62, 100), (100, 60), (30, 100)]
    data, pixels = pictures(sizes, settings)
    rng = np.random.default_rng(1)
    pixels = [rng.integers(0, 256, image.shape, dtype=np.uint8) for image in pixels]
    detector = network(name, head)
    one, three = (
        detect(detector, pixels, data, settings, batch_size=count, precision="fp32")
        for count in (1, 3)
    )
    assert [row["image_id"] for row in one] == [row["image_id"] for row in three]
    assert len({row["image_id"] for row in one}) == len(sizes)
    ours, theirs = (torch.tensor([row["score"] for row in rows]) for rows in (one, three))
    assert torch.allclose(ours, theirs, atol=1e-5)
    ours, theirs = (torch.tensor([row["bbox"] for row in rows]) for rows in (one, three))
    assert torch.isclose(ours, theirs, atol=1e-2).all(dim=1).float().mean() > 0.98  # but for ties


@pytest.mark.parametrize(("name", "switches"), [("fpn", {}), ("zoominnet", {"align": "la"})])
def test_products_are_in_proportion_to_the_canvas(name: str, switches: dict[str, Any]) -> None:
    """No layer computes on more than the canvas: 128 x 256 is half of 256 x 256."""
    detector = network(name, "retinanet", (128, 256), **switches)
    half, whole = (count_gflops(detector, size) for size in ((128, 256), (256, 256)))
    assert half == pytest.approx(whole / 2, rel=1e-6)


@pytest.mark.parametrize(("head", "smallest"), [("retinanet", 16), ("faster_rcnn", 12)])
def test_a_network_learns_from_wide_and_tall_images(head: str, smallest: float) -> None:
    """Four scenes of either orientation, in batches of two of the same one."""
    suite = tiny_suite(
        input={"size": [64, 96], "resize": "shorter_side"}, augment={"hflip": 0}, head=head,
        neck={"channels": 32, "norm": "group", "tower_convs": 1}, anchors={"smallest": smallest},
        regions=REGIONS | {"batch_size_per_image": 64}, schedule={"optimizer": "adamw"},
    )  # fmt: skip
    spec = suite.dataset
    assert isinstance(spec, SyntheticData)
    halves = [
        scenes.read(spec.model_copy(update={"train": 4, "size": size}), "train")
        for size in ((64, 96), (96, 64))
    ]
    data = replace(halves[0], images=halves[0].images + halves[1].images)
    pixels = [resize(half.read_image(index), suite.input) for half in halves for index in range(4)]
    torch.manual_seed(0)
    detector = build_detector(suite, suite.methods[0], len(data.classes), 0)
    optimizer, losses, shapes = make_optimizer(detector.train(), suite.schedule), [], set()
    for epoch in range(8):
        for batch in training_batches(data, pixels, suite.input, suite.augment, 2, 0, epoch):
            shapes.add(tuple(batch.images.shape[2:]))
            losses.append(train_step(detector, optimizer, batch, 0.002, 10, "fp32").read()[0])
    assert shapes == {(64, 96), (96, 64)}
    parts = ("objectness", "class") if head == "faster_rcnn" else ("total",)
    first, last = (
        sum(step[part] for step in some for part in parts) for some in (losses[:4], losses[-4:])
    )
    assert last < 0.7 * first
