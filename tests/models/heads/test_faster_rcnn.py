"""The Faster R-CNN head as a whole: start, gradients, edge cases, cost and learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sobench.data.batches import training_batches
from sobench.data.synthetic import scenes as synthetic
from sobench.metrics.cost import count_gflops, count_parameters
from sobench.models.build import build_detector
from sobench.models.detector import Detector, HeadOptions
from sobench.models.heads import build_head, head_levels
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.models.methods.fpn import model as fpn
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.roi import TwoMLPHead
from sobench.runs.detect import detect
from sobench.suite.datasets import SyntheticData
from sobench.suite.network import Anchors, Backbone, Neck, Regions
from sobench.suite.protocols import PROTOCOLS
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.metrics.scoring_cases import score
from tests.models.heads.faster_rcnn_heads import OBJECT, bias_only_output, full_head, make_config
from tests.models.small_config import CLASSES, targets
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")


def test_levels_widths_and_initial_weights() -> None:
    assert head_levels("faster_rcnn").strides == (4, 8, 16, 32, 64)
    head = build_head(make_config(neck=Neck(channels=520)), (4, 8))
    assert isinstance(head, FasterRCNNHead)
    rpn = head.rpn
    assert rpn.hidden.weight.shape == (512, 520, 3, 3)
    assert rpn.hidden.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert head.classifier.class_logits.weight.shape == (CLASSES + 1, 16)
    assert head.classifier.class_logits.weight.std().item() == pytest.approx(0.01, rel=0.4)
    assert head.classifier.box_offsets.weight.std().item() == pytest.approx(0.001, rel=0.2)
    layers = (rpn.hidden, rpn.objectness, rpn.box_offsets)
    for layer in (*layers, head.classifier.class_logits, head.classifier.box_offsets):
        assert layer.bias is not None
        assert not layer.bias.any()
    pyramid = [torch.rand(2, 520, 16, 24), torch.rand(2, 520, 8, 12)]
    output = head(pyramid)
    assert [tuple(x.shape) for x in output["objectness"]] == [(2, 1, 16, 24), (2, 1, 8, 12)]
    assert [tuple(x.shape) for x in output["offsets"]] == [(2, 4, 16, 24), (2, 4, 8, 12)]
    assert output["pyramid"] is pyramid


def test_losses_of_one_stage_do_not_train_the_other() -> None:
    head, pyramid = full_head()
    loss = head.loss(head(pyramid), targets([*OBJECT, []], [[1], []]))
    assert list(loss) == ["objectness", "proposal", "class", "box"]
    (loss["class"] + loss["box"]).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in head.rpn.parameters())
    assert isinstance(head.classifier.box_head, TwoMLPHead)
    assert head.classifier.box_head.first.weight.grad is not None
    has_gradient = [x.grad is not None and bool(x.grad.any()) for x in pyramid]
    assert has_gradient[0]  # small regions are pooled from the finest level
    assert not has_gradient[4]  # this level is for proposals alone
    head.zero_grad()
    loss = head.loss(head(pyramid), targets([*OBJECT, []], [[1], []]))
    loss["proposal"].backward()  # type: ignore[no-untyped-call]
    assert head.rpn.box_offsets.weight.grad is not None
    assert head.classifier.box_head.first.weight.grad is None


@pytest.mark.parametrize("boxes", [[[], []], [*OBJECT, []]])
def test_images_without_objects_train(boxes: list[list[tuple[float, ...]]]) -> None:
    head, pyramid = full_head()
    loss = head.loss(head(pyramid), targets(boxes, [[2] * len(image) for image in boxes]))
    torch.stack([*loss.values()]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(value.isfinite() for value in loss.values())
    assert (loss["box"] > 0) == (loss["proposal"] > 0) == any(boxes)
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_a_batch_without_a_single_region_trains() -> None:
    head = build_head(make_config(), (16,))
    assert isinstance(head, FasterRCNNHead)
    output = bias_only_output()
    with torch.no_grad():
        output["offsets"][0][:, 0] = 100  # every anchor leaves the input
    loss = head.loss(output, targets([[]], [[]]))
    torch.stack([*loss.values()]).sum().backward()  # type: ignore[no-untyped-call]
    assert (loss["class"].item(), loss["box"].item()) == (0, 0)
    assert head.detect(output).labels.shape == (1, 0)


@pytest.mark.parametrize("strides", [(4,), (8, 16), (4, 8, 16, 32, 64)])
def test_bfloat16_runs_on_any_pyramid(strides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    head = build_head(make_config(), strides)
    assert isinstance(head, FasterRCNNHead)
    pyramid = [
        torch.randn(2, 8, -(-64 // s), -(-96 // s), dtype=torch.bfloat16).requires_grad_()
        for s in strides
    ]
    with torch.autocast("cpu", torch.bfloat16):
        output = head(pyramid)
        assert output["objectness"][0].dtype == torch.bfloat16
        loss = head.loss(output, targets([*OBJECT, []], [[1], []]))
        with torch.no_grad():
            detections = head.detect(output)
    assert {value.dtype for value in loss.values()} == {torch.float32}
    total = torch.stack([*loss.values()]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert total.isfinite()
    assert detections.boxes.dtype == detections.scores.dtype == torch.float32
    assert detections.boxes.isfinite().all()


def build(size: tuple[int, int], num_classes: int) -> Detector:
    """Faster R-CNN with ResNet-50 and FPN on the meta device."""
    content: dict[str, Any] = {"name": "resnet50", "weights": "none", "norm": "frozen"}
    settings = Backbone.model_construct(**content, freeze=("stem", "layer1"))
    anchors = Anchors(octaves=1)
    config = make_config(
        size, num_classes=num_classes, neck=Neck(), anchors=anchors, regions=Regions()
    )
    with torch.device("meta"):
        return fpn.build(build_backbone(settings), config, {"fuse": True, "first_level": 3})


@pytest.mark.parametrize(
    ("size", "num_classes", "total", "trainable", "gmacs", "published", "anchors"),
    [
        ((512, 512), 10, 41.394, 41.169, 63.1030, 63.293, 65_472),
        ((800, 1280), 80, 41.753, 41.528, 206.3304, 207.065, 255_780),
    ],
)
def test_faster_rcnn_on_fpn(
    size: tuple[int, int],
    num_classes: int,
    total: float,
    trainable: float,
    gmacs: float,
    published: float,
    anchors: int,
) -> None:
    """MMDetection's Faster R-CNN-R50-FPN: 41.53 M and 207.07 G at 80, which counts biases too."""
    detector = build(size, num_classes)
    assert [n / 1e6 for n in count_parameters(detector)] == pytest.approx(
        [total, trainable], abs=6e-4
    )
    with FlopCounterMode(display=False) as counter:
        output = detector.predict(torch.zeros(1, 3, *size, device="meta"))
        outputs = detector.head.flops_outputs(output)
    counted = counter.get_total_flops() / 2e9
    assert counted == pytest.approx(gmacs, abs=5e-5)
    assert counted == pytest.approx(published, rel=5e-3)
    assert [tuple(x.shape) for x in outputs[-2:]] == [
        (1000, num_classes + 1),
        (1000, num_classes, 4),
    ]
    assert isinstance(detector.head, FasterRCNNHead)
    assert len(detector.head.anchors(output)) == anchors
    assert sum(x[0].numel() for x in output["objectness"]) == anchors


def test_both_counters_agree() -> None:
    suite = tiny_suite(head="faster_rcnn", regions={"post_nms_top_n": 30, "channels": 32})
    detector = build_detector(suite, suite.methods[0], 5, 0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = detector.predict(torch.zeros(1, 3, 64, 64))
        outputs = detector.head.flops_outputs(output)
    assert [len(x) for x in outputs[-2:]] == [30, 30]
    assert count_gflops(detector, (64, 64)) == pytest.approx(counter.get_total_flops() / 2e9)


class OneMap(nn.Module):
    """Backbone and neck in one: three convolutions and a map of stride 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = ((3, 32, 2), (32, channels, 2), (channels, channels, 1))
        layers = [
            (nn.Conv2d(a, b, 3, s, 1), nn.GroupNorm(b // 8, b), nn.ReLU()) for a, b, s in widths
        ]
        self.layers = nn.Sequential(*(module for layer in layers for module in layer))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layers(images)]


def test_the_head_overfits_two_scenes() -> None:
    """On a single map, with anchors of several sizes, as C4-style detectors have it."""
    suite = tiny_suite(
        dataset={"train": 2, "size": [64, 64], "objects": [3, 6]},
        augment={"hflip": 0},
        schedule={"batch_size": 2, "optimizer": "adamw", "lr": 0.004},
    )
    assert isinstance(suite.dataset, SyntheticData)
    dataset = synthetic.read(suite.dataset, "train")
    pixels = np.stack([dataset.read_image(i) for i in range(2)])
    torch.manual_seed(0)
    settings = Regions(pre_nms_top_n=100, post_nms_top_n=50, batch_size_per_image=32, channels=256)
    config = make_config((64, 64), num_classes=5, neck=Neck(channels=32), regions=settings)
    options = HeadOptions(anchors=AnchorSpec(((8.0, 14.0, 24.0),), (1.0,), 0.5))
    detector = Detector(OneMap(32), nn.Identity(), build_head(config, (4,), options)).train()
    optimizer = make_optimizer(detector, suite.schedule)
    steps = 80
    losses = []
    for step in range(steps):
        for batch in training_batches(dataset, pixels, suite.input, suite.augment, 2, 0, step):
            rate = 0.004 * min(1, (step + 1) / 5) * (1 - step / steps)
            clip_norm = suite.schedule.clip_norm
            parts, _ = train_step(detector, optimizer, batch, rate, clip_norm, "fp32").read()
            losses.append(parts["total"])
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    detections = detect(detector, pixels, dataset, suite.input, batch_size=2, precision="fp32")
    ap50 = score(dataset, detections, PROTOCOLS["tiny"]).metrics["AP50"]
    assert ap50 is not None
    assert ap50 > 0.5
