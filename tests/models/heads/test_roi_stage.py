"""The second stage of Faster R-CNN: its losses, and detections of planted predictions."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from torch import Tensor

from sobench.models.detector import HeadOptions
from sobench.models.heads import build_head
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.roi import Proposals
from sobench.suite.detect import Detect
from tests.models.heads.faster_rcnn_heads import (
    OBJECT,
    Constant,
    bias_only_head,
    bias_only_output,
    make_config,
    set_bias,
)
from tests.models.small_config import CLASSES, targets

REGIONS = Proposals(
    torch.tensor([[[32.0, 16, 64, 48], [0, 0, 16, 16], [0, 0, 0, 0], [36, 16, 60, 48]]]),
    torch.tensor([[True, True, False, True]]),
)
"""An IoU of .75 with the object of ``OBJECT``, background, padding, and the object itself."""


def test_regions_train_their_class_and_its_box() -> None:
    head, output = bias_only_head(), bias_only_output()
    set_bias(head.classifier.class_logits, [0.0, 1.0, 2.0, -1.0])
    growth = log(24 / 32) / 0.2
    truth = targets(OBJECT, [[1]])
    loss = head.region_loss(output, truth, REGIONS)
    total = log(1 + exp(1) + exp(2) + exp(-1))
    assert loss["class"].item() == pytest.approx((total + 2 * (total - 2)) / 3)
    assert loss["box"].item() == pytest.approx(-growth / 3)
    # Boxes of other classes do not matter. With these offsets of its class the first region is only
    # shifted; the object itself is shifted and grown.
    set_bias(head.classifier.box_offsets, [9.0] * 4 + [0.5, 0, growth, 0] + [-9.0] * 4)
    assert head.region_loss(output, truth, REGIONS)["box"].item() == pytest.approx(
        (2 * 0.5 - growth) / 3
    )
    # A background region in an ignore region takes no part.
    aside = targets(OBJECT, [[1]], [[(0.0, 0.0, 16.0, 12.0)]])
    loss = head.region_loss(output, aside, REGIONS)
    assert loss["class"].item() == pytest.approx(total - 2)


def test_options_of_a_method_are_used() -> None:
    calls: list[tuple[list[int], list[float], int, float]] = []

    def sampler(matches: Tensor, iou: Tensor, num_samples: int, positive_fraction: float) -> Tensor:
        calls.append((matches[0].tolist(), iou[0].tolist(), num_samples, positive_fraction))
        return matches == 0

    def box_loss(prediction: Tensor, target: Tensor, positive: Tensor) -> Tensor:
        assert prediction.shape == target.shape == (2, 4)
        return 7.0 * positive.sum()

    anchor_spec = AnchorSpec(((8.0, 16.0),), (1.0,))
    options = HeadOptions(
        channels=5, anchors=anchor_spec, box_loss=box_loss, sampler=sampler, box_head=Constant()
    )
    head = build_head(make_config(), (16,), options)
    assert isinstance(head, FasterRCNNHead)
    assert head.rpn.objectness.weight.shape == (2, 5, 1, 1)
    output = head([torch.rand(1, 5, 4, 6)])
    loss = head.region_loss(output, targets(OBJECT, [[1]]), REGIONS)
    assert calls == [([0, -1, -2, 0], [0.75, 0, 0, 1], 8, 0.25)]
    assert loss["box"].item() == 7
    assert loss["class"].item() == pytest.approx(log(4), rel=1e-4)


def test_padding_is_never_detected() -> None:
    head = bias_only_head(detect=Detect(score_threshold=0, nms=1))
    set_bias(head.classifier.class_logits, [-9.0, 5.0, 5.0, 5.0])
    set_bias(head.classifier.box_offsets, [0.0, 0, 30, 30] * CLASSES)
    output = bias_only_output(batch=2)
    with torch.no_grad():
        output["offsets"][0][:, 0] = 100
        output["offsets"][0][0, 0, 2, 3] = 0  # one anchor of the first image stays
    assert head.proposals(output).real.sum(dim=1).tolist() == [1, 0]
    detections = head.detect(output)
    assert sorted(detections.labels[0].tolist()) == [0, 1, 2]
    assert detections.labels[1].tolist() == [-1] * 3
    assert detections.scores[1].tolist() == [0] * 3


def test_detections_are_the_boxes_of_their_class() -> None:
    head, output = bias_only_head(), bias_only_output(objectness=-5.0)
    with torch.no_grad():
        output["offsets"][0][:, 0] = 100
        output["offsets"][0][0, 0, 2, 3] = 0  # (32, 16, 64, 48)
    set_bias(head.classifier.class_logits, [2.0, -9.0, 3.0, 1.0])
    # The box of class 1 is moved right by a quarter of its width and half as high; that of class 2
    # is twice as wide, so it is clipped.
    half, double = -log(2) / 0.2, log(2) / 0.2
    set_bias(head.classifier.box_offsets, [0.0] * 4 + [2.5, 0, 0, half] + [0.0, 0, 2 * double, 0])
    detections = head.detect(output)
    assert detections.labels.tolist() == [[1, 2]]
    assert detections.boxes[0, 0].tolist() == pytest.approx([40, 24, 72, 40])
    assert detections.boxes[0, 1].tolist() == pytest.approx([0, 16, 96, 48])
    total = exp(2) + exp(-9) + exp(3) + exp(1)
    assert detections.scores[0].tolist() == pytest.approx([exp(3) / total, exp(1) / total])
    best_pair = bias_only_head(detect=Detect(top_k=1))
    best_pair.load_state_dict(head.state_dict())
    assert best_pair.detect(output).labels.tolist() == [[1]]
