"""The Faster R-CNN head: proposals, pooling, losses and detections against hand values."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sobench.data.batches import training_batches
from sobench.data.synthetic import scenes as synthetic
from sobench.metrics.coco import score
from sobench.metrics.cost import count_gflops, count_parameters
from sobench.models.build import build_detector
from sobench.models.detector import Detector, DetectorConfig, HeadOptions, HeadOutput
from sobench.models.heads import build_head, head_levels
from sobench.models.heads.faster_rcnn import FasterRcnnHead
from sobench.models.methods.fpn import model as fpn
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.backbone import build_backbone
from sobench.models.parts.roi import (
    Proposals,
    TwoMLPHead,
    best_overlap,
    pool_regions,
    pooled_strides,
    propose,
    region_levels,
)
from sobench.runs.detect import detect
from sobench.suite import sections
from sobench.suite.datasets import SyntheticData
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.sections import Regions
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.models import small_config as planted
from tests.models.small_config import CLASSES, SIZE, targets
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")
SMALL = Regions(pre_nms_top_n=50, post_nms_top_n=20, batch_size_per_image=8, channels=16)


def make_config(size: tuple[int, int] = SIZE, **changes: Any) -> DetectorConfig:
    """Small proposals, and one square anchor of two strides to a cell."""
    anchors = sections.Anchors(scale=2, octaves=1, ratios=(1,))
    own: dict[str, Any] = {"head": "faster_rcnn", "anchors": anchors, "regions": SMALL}
    return planted.make_config(size=size, **(own | changes))


class Constant(nn.Module):
    """A region head that sees nothing, so that biases alone decide."""

    resolution, outputs = 7, 4

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled.new_zeros(len(pooled), self.outputs)


def blind_head(**changes: Any) -> FasterRcnnHead:
    """Over one map of stride 16, 4 x 6 cells, with one anchor of 32 x 32 in a cell."""
    options = HeadOptions(box_head=Constant())
    head = build_head(make_config(**changes), (16,), options)
    assert isinstance(head, FasterRcnnHead)
    return head


def blind_output(batch: int = 1, objectness: float = 0.0) -> HeadOutput:
    return {
        "objectness": [torch.full((batch, 1, 4, 6), objectness).requires_grad_()],
        "offsets": [torch.zeros(batch, 4, 4, 6).requires_grad_()],
        "pyramid": [torch.zeros(batch, 8, 4, 6).requires_grad_()],
    }


def set_bias(layer: nn.Linear, values: list[float]) -> None:
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(values))


# ------------------------------------------------------------------------------------- pooling


def test_the_level_of_a_region_follows_its_side() -> None:
    sides = [(224, 224), (112, 112), (111.9, 111.9), (448, 448), (56, 224), (447, 447), (900, 900)]
    boxes = torch.tensor([[10.0, 20.0, 10 + w, 20 + h] for w, h in sides])
    found = 2 + region_levels(boxes, (4, 8, 16, 32))
    assert found.tolist() == [4, 3, 2, 5, 3, 4, 5]  # 900 would be of level 6
    empty = torch.tensor([[5.0, 5.0, 5.0, 9.0], [0.0, 0.0, 0.0, 0.0], [3.0, 3.0, 7.0, 7.0]])
    assert region_levels(empty, (4, 8, 16, 32)).tolist() == [0, 0, 0]
    # Other pyramids: a level keeps its number, and what lies beyond goes to the nearest.
    assert region_levels(boxes, (4,)).tolist() == [0] * 7
    assert region_levels(boxes, (8, 16)).tolist() == [1, 0, 0, 1, 0, 1, 1]
    assert region_levels(boxes, (2, 4, 8, 16, 32)).tolist() == [3, 2, 1, 4, 2, 3, 4]


@pytest.mark.parametrize(
    ("strides", "pooled"),
    [
        ((4, 8, 16, 32, 64), (4, 8, 16, 32)),
        ((8, 16, 32, 64, 128), (8, 16, 32)),
        ((4,), (4,)),
        ((2, 4, 8, 16, 32, 64), (2, 4, 8, 16, 32)),
    ],
)
def test_what_lies_above_the_backbone_is_not_pooled_from(
    strides: tuple[int, ...], pooled: tuple[int, ...]
) -> None:
    assert pooled_strides(strides) == pooled


def ramps(strides: tuple[int, ...], size: int, images: int) -> list[Tensor]:
    """Channels: x and y of the cell's centre in the image, the stride, the number of the image."""
    maps = []
    for stride in strides:
        centre = (torch.arange(size // stride) + 0.5) * stride
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        number = torch.arange(float(images)).view(-1, 1, 1).expand(-1, *x.shape)
        plane = torch.stack((x, y, torch.full_like(x, stride))).expand(images, -1, -1, -1)
        maps.append(torch.cat((plane, number.unsqueeze(1)), dim=1))
    return maps


def test_pooling_finds_place_level_and_image() -> None:
    strides = (4, 8, 16, 32)
    boxes = torch.tensor(
        [[64.0, 32.0, 64 + 224, 32 + 280], [8, 16, 36, 30], [100, 50, 212, 162], [9, 9, 10, 10]]
    )
    image = torch.tensor([1, 0, 2, 1])
    pooled = pool_regions(ramps(strides, 512, 3), strides, boxes, image, 7)
    assert pooled.shape == (4, 4, 7, 7)
    assert pooled[:, 2, 3, 3].tolist() == [16, 4, 8, 4]
    assert pooled[:, 3, 0, 6].tolist() == [1, 0, 2, 1]
    for box, found in zip(boxes.tolist(), pooled, strict=True):
        bins = torch.arange(7) + 0.5  # a mean of even samples of a ramp is its value amid a bin
        x, y = box[0] + bins * (box[2] - box[0]) / 7, box[1] + bins * (box[3] - box[1]) / 7
        assert torch.allclose(found[0], x.expand(7, 7), rtol=1e-5)
        assert torch.allclose(found[1], y.unsqueeze(1).expand(7, 7), rtol=1e-5)
    finer = pool_regions(ramps((4,), 512, 3), (4,), boxes, image, 14)
    assert finer.shape == (4, 4, 14, 14)
    assert set(finer[:, 2].flatten().tolist()) == {4.0}


def test_pooling_gives_gradients_to_maps_and_none_to_boxes() -> None:
    maps = [torch.rand(1, 2, 16, 16, requires_grad=True), torch.rand(1, 2, 8, 8).requires_grad_()]
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]], requires_grad=True)
    pool_regions(maps, (4, 8), boxes, torch.tensor([0]), 7).sum().backward()  # type: ignore[no-untyped-call]
    assert maps[0].grad is not None
    assert maps[0].grad.sum().item() == pytest.approx(2 * 49)
    assert boxes.grad is None
    none = pool_regions(maps, (4, 8), boxes[:0], torch.tensor([], dtype=torch.int64), 7)
    assert none.shape == (0, 2, 7, 7)


def test_two_fully_connected_layers() -> None:
    head = TwoMLPHead(2, 5)
    assert (head.resolution, head.outputs) == (7, 5)
    limit = (6 / (98 + 5)) ** 0.5
    assert limit * 0.9 < head.first.weight.abs().max().item() <= limit
    assert not head.first.bias.any()
    with torch.no_grad():
        head.first.weight.fill_(1)
        head.second.weight.copy_(-torch.eye(5))
        head.second.bias.fill_(200)
    pooled = torch.ones(3, 2, 7, 7)
    pooled[1] = -1
    pooled[2] = 3
    assert head(pooled).tolist() == [[102.0] * 5, [200.0] * 5, [0.0] * 5]


# ----------------------------------------------------------------------------------- proposals


def test_proposals_are_suppressed_within_a_level_and_an_image() -> None:
    a, b, far = [0.0, 0, 20, 20], [1.0, 0, 21, 20], [40.0, 30, 60, 50]  # a and b: IoU .9
    outside, edge = [-30.0, 0, -5, 20], [80.0, 50, 120, 90]
    fine = torch.tensor([[a, b, far], [outside, a, [5.0, 5, 5, 9]]])
    fine_scores = torch.tensor([[1.0, 3, 2], [9, -4, 9]])
    coarse = torch.tensor([[b, edge], [a, outside]])
    coarse_scores = torch.tensor([[0.5, 2.5], [-2, torch.nan]])
    both = [(fine, fine_scores), (coarse, coarse_scores)]
    found = propose(both, SIZE, SMALL)
    assert found.real.tolist() == [[True, True, True, True, False], [True, True] + [False] * 3]
    clipped = [80.0, 50, 96, 64]
    nothing = [0.0] * 4
    assert found.boxes[0].tolist() == [b, clipped, far, b, nothing]
    assert found.boxes[1].tolist() == [a, a, nothing, nothing, nothing]
    fewest = propose(both, SIZE, SMALL.model_copy(update={"post_nms_top_n": 2}))
    assert fewest.boxes[0].tolist() == [b, clipped]
    kind = propose(both, SIZE, SMALL.model_copy(update={"nms": 0.95}))
    assert kind.real.sum(dim=1).tolist() == [5, 2]


def test_proposals_of_a_batch_are_those_of_its_images() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(4, 300, 2, generator=generator) * 60
    side = 1 + torch.rand(4, 300, 2, generator=generator) * 6
    boxes = torch.cat((corner, corner + side), dim=-1)
    scores = torch.randn(4, 300, generator=generator)
    settings = SMALL.model_copy(update={"post_nms_top_n": 200})
    split = [(boxes[:, a:b], scores[:, a:b]) for a, b in ((0, 200), (200, 300))]
    together = propose(split, SIZE, settings)
    for index in range(4):
        alone = propose(
            [(b[index : index + 1], s[index : index + 1]) for b, s in split], SIZE, settings
        )
        assert torch.equal(alone.boxes[0], together.boxes[index])
        assert torch.equal(alone.real[0], together.real[index])


def test_the_head_proposes_the_best_anchors_of_each_level() -> None:
    settings = SMALL.model_copy(update={"pre_nms_top_n": 2})
    head = build_head(make_config(regions=settings), (16, 32))
    assert isinstance(head, FasterRcnnHead)
    output: HeadOutput = {
        "objectness": [torch.full((1, 1, 4, 6), -5.0), torch.full((1, 1, 2, 3), -7.0)],
        "offsets": [torch.zeros(1, 4, 4, 6), torch.zeros(1, 4, 2, 3)],
    }
    output["objectness"][0][0, 0, 2, 3] = 4  # centre (48, 32), 32 x 32
    output["offsets"][0][0, :, 2, 3] = torch.tensor([0.25, 0, -log(2), 0])
    output["objectness"][0][0, 0, 1, 1] = 2  # centre (16, 16)
    output["objectness"][1][0, 0, 1, 2] = 3  # centre (64, 32), 64 x 64
    output["objectness"][1][0, 0, 0, 0] = 1  # centre (0, 0)
    found = head.proposals(output)
    assert found.boxes[0].tolist() == [
        [48, 16, 64, 48], [32, 0, 96, 64], [0, 0, 32, 32], [0, 0, 32, 32],
    ]  # fmt: skip
    assert found.real.all()


def test_best_overlap_leaves_padding_out() -> None:
    truth = targets([[(0, 0, 10, 10), (0, 0, 20, 10)], []], [[0, 1], []])
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 15, 10], [0, 0, 0, 0]]]).repeat(2, 1, 1)
    assert torch.allclose(best_overlap(truth, boxes), torch.tensor([[1, 0.75, 0], [0, 0, 0]]))


# -------------------------------------------------------------------------------------- losses


def test_the_head_and_its_start() -> None:
    assert head_levels("faster_rcnn").strides == (4, 8, 16, 32, 64)
    head = build_head(make_config(neck=sections.Neck(channels=520)), (4, 8))
    assert isinstance(head, FasterRcnnHead)
    network = head.rpn
    assert network.hidden.weight.shape == (512, 520, 3, 3)
    assert network.hidden.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert head.classifier.class_logits.weight.shape == (CLASSES + 1, 16)
    assert head.classifier.class_logits.weight.std().item() == pytest.approx(0.01, rel=0.4)
    assert head.classifier.box_offsets.weight.std().item() == pytest.approx(0.001, rel=0.2)
    layers = (network.hidden, network.objectness, network.box_offsets)
    for layer in (*layers, head.classifier.class_logits, head.classifier.box_offsets):
        assert layer.bias is not None
        assert not layer.bias.any()
    pyramid = [torch.rand(2, 520, 16, 24), torch.rand(2, 520, 8, 12)]
    output = head(pyramid)
    assert [tuple(x.shape) for x in output["objectness"]] == [(2, 1, 16, 24), (2, 1, 8, 12)]
    assert [tuple(x.shape) for x in output["offsets"]] == [(2, 4, 16, 24), (2, 4, 8, 12)]
    assert output["pyramid"] is pyramid


def test_anchors_are_learnt_from_sampled_objects_and_background() -> None:
    head, output = blind_head(), blind_output()
    # The anchor at row 2, column 3 is 32 x 32 about (48, 32); this is that.
    exact = targets([[(32.0, 16.0, 64.0, 48.0)]], [[1]])
    loss = head.anchor_loss(output, exact)
    assert loss["objectness"].item() == pytest.approx(log(2))
    assert loss["proposal"].item() == 0
    loss["objectness"].backward()  # type: ignore[no-untyped-call]
    grad = output["objectness"][0].grad
    assert grad is not None
    # Its four neighbours have IoU 1/3, between .3 and .7, and take no part; 20 of 24 remain.
    neighbours = [(1, 3), (3, 3), (2, 2), (2, 4)]
    expected = torch.full((4, 6), 0.5 / 20)
    expected[2, 3] = -0.5 / 20
    for place in neighbours:
        expected[place] = 0
    assert torch.allclose(grad[0, 0], expected)
    # Three quarters as wide: IoU .75 here and .27 beside, so that all 24 are sampled.
    narrow = targets([[(36.0, 16.0, 60.0, 48.0)]], [[1]])
    assert head.anchor_loss(output, narrow)["proposal"].item() == pytest.approx(log(32 / 24) / 24)
    # A small object has IoU 1/64 with four anchors at most, and still takes the nearest.
    small = targets([[(46.0, 30.0, 50.0, 34.0)]], [[0]])
    expected_box = 2 * log(8) / 24
    assert head.anchor_loss(output, small)["proposal"].item() == pytest.approx(expected_box)


def test_256_anchors_are_sampled_and_half_of_them_objects_at_most() -> None:
    torch.manual_seed(0)
    head = build_head(make_config((320, 480)), (4,))
    assert isinstance(head, FasterRcnnHead)
    output: HeadOutput = {
        "objectness": [torch.zeros(2, 1, 80, 120, requires_grad=True)],
        "offsets": [torch.zeros(2, 4, 80, 120)],
        "pyramid": [],
    }
    centres = [(8.0 + 20 * (i % 20), 8.0 + 20 * (i // 20)) for i in range(140)]
    many: list[tuple[float, ...]] = [(x - 4, y - 4, x + 4, y + 4) for x, y in centres]
    loss = head.anchor_loss(output, targets([many, many[:3]], [[0] * 140, [1] * 3]))
    loss["objectness"].backward()  # type: ignore[no-untyped-call]
    grad = output["objectness"][0].grad
    assert grad is not None
    assert (grad < 0).sum(dim=(1, 2, 3)).tolist() == [128, 3]
    assert (grad > 0).sum(dim=(1, 2, 3)).tolist() == [128, 253]
    assert grad.abs().max().item() == pytest.approx(0.5 / 512)


REGIONS = Proposals(
    torch.tensor([[[32.0, 16, 64, 48], [0, 0, 16, 16], [0, 0, 0, 0], [36, 16, 60, 48]]]),
    torch.tensor([[True, True, False, True]]),
)
"""Of the object at (36, 16, 60, 48): IoU .75, background, padding, and the object itself."""
OBJECT: list[list[tuple[float, ...]]] = [[(36.0, 16.0, 60.0, 48.0)]]


def test_regions_learn_their_class_and_its_box() -> None:
    head, output = blind_head(), blind_output()
    set_bias(head.classifier.class_logits, [0.0, 1.0, 2.0, -1.0])
    growth = log(24 / 32) / 0.2
    truth = targets(OBJECT, [[1]])
    loss = head.region_loss(output, truth, REGIONS)
    total = log(1 + exp(1) + exp(2) + exp(-1))
    assert loss["class"].item() == pytest.approx((total + 2 * (total - 2)) / 3)
    assert loss["box"].item() == pytest.approx(-growth / 3)
    # Boxes of other classes do not matter; with the class's own the first is right, and the
    # object itself is now as wrong as the first was.
    set_bias(head.classifier.box_offsets, [9.0] * 4 + [0.5, 0, growth, 0] + [-9.0] * 4)
    assert head.region_loss(output, truth, REGIONS)["box"].item() == pytest.approx(
        (2 * 0.5 - growth) / 3
    )
    # A background region in an ignore region takes no part.
    aside = targets(OBJECT, [[1]], [[(0.0, 0.0, 16.0, 12.0)]])
    loss = head.region_loss(output, aside, REGIONS)
    assert loss["class"].item() == pytest.approx(total - 2)


def test_what_a_method_may_change_is_used() -> None:
    asked: list[tuple[list[int], list[float], int, float]] = []

    def sampler(assigned: Tensor, overlap: Tensor, count: int, share: float) -> Tensor:
        asked.append((assigned[0].tolist(), overlap[0].tolist(), count, share))
        return assigned == 0

    def box_loss(prediction: Tensor, target: Tensor, positive: Tensor) -> Tensor:
        assert prediction.shape == target.shape == (2, 4)
        return 7.0 * positive.sum()

    shapes = AnchorSpec(((8.0, 16.0),), (1.0,))
    options = HeadOptions(
        channels=5, anchors=shapes, box_loss=box_loss, sampler=sampler, box_head=Constant()
    )
    head = build_head(make_config(), (16,), options)
    assert isinstance(head, FasterRcnnHead)
    assert head.rpn.objectness.weight.shape == (2, 5, 1, 1)
    output = head([torch.rand(1, 5, 4, 6)])
    loss = head.region_loss(output, targets(OBJECT, [[1]]), REGIONS)
    assert asked == [([0, -1, -2, 0], [0.75, 0, 0, 1], 8, 0.25)]
    assert loss["box"].item() == 7
    assert loss["class"].item() == pytest.approx(log(4), rel=1e-4)


def full_head(**changes: Any) -> tuple[FasterRcnnHead, list[Tensor]]:
    torch.manual_seed(0)
    head = build_head(make_config(**changes), (4, 8, 16, 32, 64))
    assert isinstance(head, FasterRcnnHead)
    sizes = ((16, 24), (8, 12), (4, 6), (2, 3), (1, 2))
    return head, [torch.randn(2, 8, *size).requires_grad_() for size in sizes]


def test_the_second_stage_does_not_teach_the_first() -> None:
    head, pyramid = full_head()
    loss = head.loss(head(pyramid), targets([*OBJECT, []], [[1], []]))
    assert list(loss) == ["objectness", "proposal", "class", "box"]
    (loss["class"] + loss["box"]).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in head.rpn.parameters())
    assert isinstance(head.classifier.box_head, TwoMLPHead)
    assert head.classifier.box_head.first.weight.grad is not None
    reached = [x.grad is not None and bool(x.grad.any()) for x in pyramid]
    assert reached[0]  # small regions are of the finest level
    assert not reached[4]  # which is for proposals alone
    head.zero_grad()
    (head.loss(head(pyramid), targets([*OBJECT, []], [[1], []]))["proposal"]).backward()  # type: ignore[no-untyped-call]
    assert head.rpn.box_offsets.weight.grad is not None
    assert head.classifier.box_head.first.weight.grad is None


@pytest.mark.parametrize("rows", [[[], []], [*OBJECT, []]])
def test_images_without_objects_train(rows: list[list[tuple[float, ...]]]) -> None:
    head, pyramid = full_head()
    loss = head.loss(head(pyramid), targets(rows, [[2] * len(row) for row in rows]))
    torch.stack([*loss.values()]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(value.isfinite() for value in loss.values())
    assert (loss["box"] > 0) == (loss["proposal"] > 0) == any(rows)
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_a_batch_without_a_single_region_trains() -> None:
    head = build_head(make_config(), (16,))
    assert isinstance(head, FasterRcnnHead)
    output = blind_output()
    with torch.no_grad():
        output["offsets"][0][:, 0] = 100  # every anchor leaves the input
    loss = head.loss(output, targets([[]], [[]]))
    torch.stack([*loss.values()]).sum().backward()  # type: ignore[no-untyped-call]
    assert (loss["class"].item(), loss["box"].item()) == (0, 0)
    assert head.detect(output).labels.shape == (1, 0)


# ---------------------------------------------------------------------------------- detections


def test_padding_is_never_detected() -> None:
    head = blind_head(detect=sections.Detect(score_threshold=0, nms=1))
    set_bias(head.classifier.class_logits, [-9.0, 5.0, 5.0, 5.0])
    set_bias(head.classifier.box_offsets, [0.0, 0, 30, 30] * CLASSES)
    output = blind_output(batch=2)
    with torch.no_grad():
        output["offsets"][0][:, 0] = 100
        output["offsets"][0][0, 0, 2, 3] = 0  # one anchor of the first image stays
    assert head.proposals(output).real.sum(dim=1).tolist() == [1, 0]
    found = head.detect(output)
    assert sorted(found.labels[0].tolist()) == [0, 1, 2]
    assert found.labels[1].tolist() == [-1] * 3
    assert found.scores[1].tolist() == [0] * 3


def test_detections_are_the_boxes_of_their_class() -> None:
    head, output = blind_head(), blind_output(objectness=-5.0)
    with torch.no_grad():
        output["offsets"][0][:, 0] = 100
        output["offsets"][0][0, 0, 2, 3] = 0  # (32, 16, 64, 48)
    set_bias(head.classifier.class_logits, [2.0, -9.0, 3.0, 1.0])
    # Class 1: a quarter to the right and half as high. Class 2: twice as wide, so it is clipped.
    half, double = -log(2) / 0.2, log(2) / 0.2
    set_bias(head.classifier.box_offsets, [0.0] * 4 + [2.5, 0, 0, half] + [0.0, 0, 2 * double, 0])
    found = head.detect(output)
    assert found.labels.tolist() == [[1, 2]]
    assert found.boxes[0, 0].tolist() == pytest.approx([40, 24, 72, 40])
    assert found.boxes[0, 1].tolist() == pytest.approx([0, 16, 96, 48])
    total = exp(2) + exp(-9) + exp(3) + exp(1)
    assert found.scores[0].tolist() == pytest.approx([exp(3) / total, exp(1) / total])
    fewest = blind_head(detect=sections.Detect(top_k=1))
    fewest.load_state_dict(head.state_dict())
    assert fewest.detect(output).labels.tolist() == [[1]]


@pytest.mark.parametrize("strides", [(4,), (8, 16), (4, 8, 16, 32, 64)])
def test_bfloat16_runs_on_any_pyramid(strides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    head = build_head(make_config(), strides)
    assert isinstance(head, FasterRcnnHead)
    pyramid = [
        torch.randn(2, 8, -(-64 // s), -(-96 // s), dtype=torch.bfloat16).requires_grad_()
        for s in strides
    ]
    with torch.autocast("cpu", torch.bfloat16):
        output = head(pyramid)
        assert output["objectness"][0].dtype == torch.bfloat16
        loss = head.loss(output, targets([*OBJECT, []], [[1], []]))
        with torch.no_grad():
            found = head.detect(output)
    assert {value.dtype for value in loss.values()} == {torch.float32}
    total = torch.stack([*loss.values()]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert total.isfinite()
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert found.boxes.isfinite().all()


# ---------------------------------------------------------------------------------------- cost


def build(size: tuple[int, int], classes: int) -> Detector:
    """Faster R-CNN with ResNet-50 and FPN, without storage."""
    content: dict[str, Any] = {"name": "resnet50", "weights": "none", "norm": "frozen"}
    settings = sections.Backbone.model_construct(**content, freeze=("stem", "layer1"))
    anchors = sections.Anchors(scale=8, octaves=1)
    config = make_config(
        size, num_classes=classes, neck=sections.Neck(), anchors=anchors, regions=Regions()
    )
    with torch.device("meta"):
        return fpn.build(build_backbone(settings), config, {"fuse": True})


@pytest.mark.parametrize(
    ("size", "classes", "total", "trainable", "gmacs", "published", "anchors"),
    [
        ((512, 512), 10, 41.394, 41.169, 63.1030, 63.293, 65_472),
        ((800, 1280), 80, 41.753, 41.528, 206.3304, 207.065, 255_780),
    ],
)
def test_faster_rcnn_on_fpn(
    size: tuple[int, int],
    classes: int,
    total: float,
    trainable: float,
    gmacs: float,
    published: float,
    anchors: int,
) -> None:
    """MMDetection's Faster R-CNN-R50-FPN: 41.53 M and 207.07 G at 80, which counts biases too."""
    detector = build(size, classes)
    assert [n / 1e6 for n in count_parameters(detector)] == pytest.approx(
        [total, trainable], abs=6e-4
    )
    with FlopCounterMode(display=False) as counter:
        output = detector.predict(torch.zeros(1, 3, *size, device="meta"))
        parts = detector.head.flops_outputs(output)
    counted = counter.get_total_flops() / 2e9
    assert counted == pytest.approx(gmacs, abs=5e-5)
    assert counted == pytest.approx(published, rel=5e-3)
    assert [tuple(x.shape) for x in parts[-2:]] == [(1000, classes + 1), (1000, classes, 4)]
    assert isinstance(detector.head, FasterRcnnHead)
    assert len(detector.head.anchors(output)) == anchors
    assert sum(x[0].numel() for x in output["objectness"]) == anchors


def test_both_counters_agree() -> None:
    suite = tiny_suite(head="faster_rcnn", regions={"post_nms_top_n": 30, "channels": 32})
    detector = build_detector(suite, suite.methods[0], 5, 0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = detector.predict(torch.zeros(1, 3, 64, 64))
        parts = detector.head.flops_outputs(output)
    assert [len(x) for x in parts[-2:]] == [30, 30]
    assert count_gflops(detector, (64, 64)) == pytest.approx(counter.get_total_flops() / 2e9)


# ------------------------------------------------------------------------------------ learning


class OneMap(nn.Module):
    """A backbone of three convolutions and a neck in one: a map of stride 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = ((3, 32, 2), (32, channels, 2), (channels, channels, 1))
        layers = [
            (nn.Conv2d(a, b, 3, s, 1), nn.GroupNorm(b // 8, b), nn.ReLU()) for a, b, s in widths
        ]
        self.layers = nn.Sequential(*(module for layer in layers for module in layer))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layers(images)]


def test_the_head_learns_two_scenes_by_heart() -> None:
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
    config = make_config((64, 64), num_classes=5, neck=sections.Neck(channels=32), regions=settings)
    options = HeadOptions(anchors=AnchorSpec(((8.0, 14.0, 24.0),), (1.0,), 0.5))
    detector = Detector(OneMap(32), nn.Identity(), build_head(config, (4,), options)).train()
    optimizer = make_optimizer(detector, suite.schedule)
    steps = 80
    losses = []
    for step in range(steps):
        for batch in training_batches(dataset, pixels, suite.input, suite.augment, 2, 0, step):
            rate = 0.004 * min(1, (step + 1) / 5) * (1 - step / steps)
            parts = train_step(detector, optimizer, batch, rate, suite.schedule.clip_norm)
            losses.append(parts["total"])
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    rows = detect(detector, pixels, dataset, suite.input, batch_size=2)
    ap50 = score(dataset, rows, PROTOCOLS["tiny"]).metrics["AP50"]
    assert ap50 is not None
    assert ap50 > 0.5
