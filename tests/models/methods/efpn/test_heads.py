"""EFPN: which head finds which objects, and what each head trains on."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from sobench.models.detector import HeadOptions, HeadOutput
from sobench.models.heads import build_head
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.methods.efpn.heads import (
    ExtendedFasterRcnn,
    ExtendedRetinaNet,
    extended_head,
    hard_examples,
)
from sobench.models.parts.chosen import choose
from sobench.models.parts.roi import Proposals
from sobench.suite.detect import Detect
from sobench.suite.network import Anchors, Regions
from tests.models import small_config as planted
from tests.models.methods.efpn.networks import (
    network,
    total,
)
from tests.models.small_config import CLASSES


class Constant(nn.Module):
    """A region head that sees nothing, so that biases alone decide."""

    resolution, outputs = 7, 4

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled.new_zeros(len(pooled), self.outputs)


SIZE = (128, 192)


def blind(small_below: int = 56, duplicate: bool = False, **changes: Any) -> ExtendedFasterRcnn:
    """One original level of stride 16 whose head sees only class 1; the small one only class 2."""
    content: dict[str, Any] = {
        "head": "faster_rcnn",
        "size": SIZE,
        "anchors": Anchors(smallest=32, octaves=1, ratios=(1,)),
        "regions": Regions(
            pre_nms_top_n=50, post_nms_top_n=20, batch_size_per_image=8, channels=16
        ),
    }
    config = planted.make_config(**(content | changes))
    original = build_head(config, (16,), HeadOptions(box_head=Constant()))
    extended = extended_head(original, small_below, duplicate)
    assert isinstance(extended, ExtendedFasterRcnn)
    for classifier, favoured in ((extended.original.classifier, 1), (extended.small, 2)):
        values = [4.0 if n == favoured + 1 else 0.0 for n in range(CLASSES + 1)]
        classifier.class_logits.bias.data.copy_(torch.tensor(values))
    return extended


def filter_proposals(
    monkeypatch: pytest.MonkeyPatch, head: ExtendedFasterRcnn, rows: list[list[float]]
) -> HeadOutput:
    """Let the first stage propose just these, the last row being padding."""
    boxes = torch.tensor([rows])
    real = torch.tensor([[True] * (len(rows) - 1) + [False]])
    monkeypatch.setattr(head.original, "proposals", lambda _: Proposals(boxes, real))
    return {
        "objectness": [torch.zeros(1, 1, 8, 12)],
        "pyramid": [torch.zeros(1, 8, 8, 12)],
        "finest": [torch.zeros(1, 8, 16, 24)],
    }


LARGE = [60.0, 60, 116, 116]  # 56 x 56


FLAT = [0.0, 0, 112, 28]  # has the same area


SMALL = [120.0, 4, 175, 59]  # 55 x 55


PADDING = [0.0, 0, 8, 8]


@pytest.mark.parametrize(
    ("small_below", "duplicate", "expected"),
    [
        (56, False, {(60, 1), (0, 1), (120, 2)}),
        (112, False, {(60, 2), (0, 2), (120, 2)}),
        (28, False, {(60, 1), (0, 1), (120, 1)}),
        (56, True, {(60, 1), (0, 1), (120, 1), (120, 2)}),
    ],
)
def test_which_head_sees_which_region(
    monkeypatch: pytest.MonkeyPatch,
    small_below: int,
    duplicate: bool,
    expected: set[tuple[int, int]],
) -> None:
    settings = Detect(score_threshold=0.5)
    head = blind(small_below, duplicate, detect=settings)
    output = filter_proposals(monkeypatch, head, [LARGE, FLAT, SMALL, PADDING])
    detections = head.detect(output)
    pairs = zip(detections.boxes[0, :, 0].tolist(), detections.labels[0].tolist(), strict=True)
    assert {(round(x), label) for x, label in pairs} == expected
    score = exp(4) / (exp(4) + CLASSES)
    assert detections.scores[0].tolist() == pytest.approx([score] * len(expected))


def test_small_regions_are_pooled_from_the_finest_level() -> None:
    torch.manual_seed(0)
    config = planted.make_config(head="faster_rcnn", size=SIZE)
    original = build_head(config, (4, 8, 16, 32, 64))
    head = extended_head(original, 56, False)
    assert isinstance(head, ExtendedFasterRcnn)
    sizes = [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    pyramid = [torch.randn(2, 8, *size) for size in sizes]
    output = head(pyramid)
    assert [x.shape[-2:] for x in output["objectness"]] == sizes[1:]  # no proposals from it
    boxes = torch.tensor([[SMALL, LARGE], [PADDING, SMALL]])
    chosen = choose(torch.tensor([[True, False], [True, True]]), 2)
    logits, offsets = head.forward_rois(output, boxes, chosen)
    rois = torch.tensor([[0.0, *SMALL], [1, *PADDING], [1, *SMALL]])
    pooled = roi_align(pyramid[0], rois, 7, 0.5, sampling_ratio=2, aligned=True)
    expected = head.small(pooled)
    assert torch.equal(logits, expected[0])
    assert torch.equal(offsets, expected[1])
    assert head.small is not head.original.classifier


def test_the_hardest_are_kept() -> None:
    regions = torch.tensor([[True] * 6, [True, False, True, True, False, True]])
    chosen = choose(regions, 6)
    # Two of each image, one of them an object at most, and that by the sum of both losses.
    class_loss = torch.tensor([1.0, 3.0, 5.0, 4.0, 6.0, 0.0, 9.0, 2.0, 1.0, 3.0])
    box_loss = torch.tensor([9.0, 3.0, 0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0])
    positive = torch.tensor([True, True] + [False] * 3 + [True] + [False] * 4)
    hard = hard_examples(class_loss, box_loss, positive, chosen, 2)
    assert hard.nonzero().flatten().tolist() == [0, 4, 6, 9]
    # With eight, two objects: 10 and 8 against 6.
    hard = hard_examples(class_loss, box_loss, positive, chosen, 8)
    assert hard.nonzero().flatten().tolist() == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    none = hard_examples(class_loss[:0], box_loss[:0], positive[:0], choose(regions & False, 6), 8)
    assert none.shape == (0,)


def test_the_loss_is_of_small_hard_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    head = blind()
    background = [[0.0, 60, 30, 90], [1.0, 60, 31, 90], [0.0, 61, 30, 91]]
    output = filter_proposals(monkeypatch, head, [SMALL, LARGE, *background, PADDING])
    head.small.box_offsets.bias.data.copy_(torch.tensor([9.0] * 4 + [-0.5, 0, 0, 0] + [9.0] * 4))
    # The large object is not a region. Of the small one, its proposal and the three of background,
    # two are kept, a quarter of eight: the proposal, whose box is worse by 5 px, and a background.
    nearly = (SMALL[0] + 5, SMALL[1], SMALL[2] + 5, SMALL[3])
    targets = planted.targets([[nearly, tuple(LARGE)]], [[1, 0]])
    losses = head.loss(output, targets)
    assert losses["class"].item() == pytest.approx(log(CLASSES + exp(4)))
    assert losses["box"].item() == pytest.approx((5 / 55 / 0.1 + 0.5) / 2)
    losses["box"].backward()  # type: ignore[no-untyped-call]
    grad = head.small.box_offsets.bias.grad
    assert grad is not None
    assert grad.tolist() == [0] * 4 + [-0.5, 0, 0, 0] + [0] * 4
    assert all(p.grad is None for p in head.original.parameters())


def test_what_is_counted_is_a_head_for_every_region() -> None:
    config = planted.make_config(
        head="faster_rcnn",
        regions=Regions(pre_nms_top_n=50, post_nms_top_n=20, batch_size_per_image=8, channels=16),
    )
    pyramid = [torch.zeros(1, 8, 32, 48), torch.zeros(1, 8, 16, 24), torch.zeros(1, 8, 8, 12)]
    for duplicate, parts in ((False, 2), (True, 4)):
        head = extended_head(build_head(config, (4, 8)), 56, duplicate)
        work = head.flops_outputs(head(pyramid))
        assert [len(x) for x in work[4:]] == [20] * parts


def retinanet(duplicate: bool = False) -> ExtendedRetinaNet:
    """Square anchors of 12 px on stride 8, and of 6 px on stride 4."""
    anchors = Anchors(smallest=12, octaves=1, ratios=(1,))
    original = build_head(planted.make_config(anchors=anchors), (8,))
    head = extended_head(original, 56, duplicate)
    assert isinstance(head, ExtendedRetinaNet)
    assert head.small.strides == (4,)
    assert head.small.anchor_spec.sides == ((6.0,),)
    return head


def quiet(low: float = -12.0) -> HeadOutput:
    """Background everywhere, of 64 x 96 pixels."""
    sizes = ((16, 24), (8, 12))
    return {
        "logits": [torch.full((1, CLASSES, *s), low).requires_grad_() for s in sizes],
        "offsets": [torch.zeros(1, 4, *s).requires_grad_() for s in sizes],
    }


def test_the_border_lies_between_the_levels() -> None:
    assert retinanet().border == pytest.approx(12 / sqrt(2))
    octaves = Anchors(smallest=32, octaves=3)
    head = extended_head(build_head(planted.make_config(anchors=octaves), (8, 16)), 56, False)
    assert isinstance(head, ExtendedRetinaNet)
    assert head.border == pytest.approx(32 / 2 ** (1 / 6))


@pytest.mark.parametrize("duplicate", [True, False])
def test_boxes_come_from_the_level_of_their_side(duplicate: bool) -> None:
    head, output = retinanet(duplicate), quiet()
    planted_boxes = [  # level, row, column, class, growth: side and place follow
        (0, 4, 4, 0, 0.0),  # 6 at 16
        (0, 10, 10, 0, log(2)),  # 12 at 40
        (1, 6, 9, 1, 0.0),  # 12 at 72
        (1, 1, 9, 1, -log(2)),  # 6 at 72
    ]
    with torch.no_grad():
        for level, row, column, label, growth in planted_boxes:
            output["logits"][level][0, label, row, column] = 3.0
            output["offsets"][level][0, 2:, row, column] = growth
        detections = head.detect(output)
    sides = detections.boxes[0, :, 2] - detections.boxes[0, :, 0]
    triples = {
        (round(side), round(x + side / 2), label)
        for side, x, label in zip(
            sides.tolist(),
            detections.boxes[0, :, 0].tolist(),
            detections.labels[0].tolist(),
            strict=True,
        )
    }
    expected = {(6, 16, 0), (12, 72, 1)}
    assert triples == expected | ({(12, 40, 0), (6, 72, 1)} if duplicate else set())


def test_large_objects_are_background_to_tiny_anchors() -> None:
    head, output = retinanet(), quiet(low=0.0)
    # 12 px about (48, 32): the original's anchor there. And 6 px about (16, 16).
    both: list[list[tuple[float, ...]]] = [[(42, 26, 54, 38), (13, 13, 19, 19)]]
    losses = head.loss(output, planted.targets(both, [[1, 2]]))
    background = 0.75 * 0.25 * log(2)
    # Of 16 x 24 anchors of 6 px with three classes each, one is an object, and its neighbours,
    # a third of whose area is not half of it, are background.
    expected = (16 * 24 * 3 - 1) * background + background / 3
    assert losses["class"].item() == pytest.approx(expected, rel=1e-5)
    assert losses["box"].item() == 0
    total(losses).backward()  # type: ignore[no-untyped-call]
    fine, coarse = (x.grad for x in output["logits"])
    assert coarse is None
    assert fine is not None
    assert (fine < 0).nonzero().tolist() == [[0, 2, 4, 4]]
    # Alone, the tiny anchors would have been forced to take the large object.
    alone = head.small.loss({k: v[:1] for k, v in output.items()}, planted.targets(both, [[1, 2]]))
    assert alone["box"].item() > 0


def test_the_box_loss_is_over_its_own_objects() -> None:
    head, output = retinanet(), quiet()
    rows: list[list[tuple[float, ...]]] = [
        [(13, 13, 19, 19), (61, 45, 67, 51), (42, 26, 54, 38), (18, 34, 30, 46)]
    ]
    with torch.no_grad():
        output["offsets"][0][0, 0, 4, 4] = 0.5
        output["offsets"][1][...] = 7.0
    losses = head.loss(output, planted.targets(rows, [[0, 0, 0, 0]]))
    assert losses["box"].item() == pytest.approx(0.5 / 2)
    nothing = head.loss(output, planted.targets([[(42, 26, 54, 38)]], [[0]]))
    assert nothing["box"].item() == 0


def test_predictions_of_all_levels_stand_in_order() -> None:
    head = retinanet()
    pyramid = [torch.randn(1, 8, 16, 24), torch.randn(1, 8, 8, 12)]
    output = head(pyramid)
    assert [x.shape[-2:] for x in output["logits"]] == [(16, 24), (8, 12)]
    assert torch.equal(output["logits"][0], head.small(pyramid[:1])["logits"][0])
    assert torch.equal(output["offsets"][1], head.original(pyramid[1:])["offsets"][0])
    assert isinstance(head.original, RetinaNetHead)
    assert len(head.flops_outputs(output)) == 4


def test_the_heads_of_a_suite_can_all_be_extended() -> None:
    for name, kind in (("faster_rcnn", FasterRCNNHead), ("retinanet", RetinaNetHead)):
        assert isinstance(network(name).head.original, kind)
