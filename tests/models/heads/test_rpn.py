"""The first stage of Faster R-CNN: its proposals, and the sampled anchors that it trains on."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch

from sobench.models.detector import HeadOutput
from sobench.models.heads import build_head
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.suite.network import Anchors
from tests.models.heads.faster_rcnn_heads import (
    SMALL,
    bias_only_head,
    bias_only_output,
    make_config,
)
from tests.models.small_config import targets


def test_the_head_proposes_the_best_anchors_of_each_level() -> None:
    settings = SMALL.model_copy(update={"pre_nms_top_n": 2})
    head = build_head(make_config(regions=settings), (16, 32))
    assert isinstance(head, FasterRCNNHead)
    output: HeadOutput = {
        "objectness": [torch.full((1, 1, 4, 6), -5.0), torch.full((1, 1, 2, 3), -7.0)],
        "offsets": [torch.zeros(1, 4, 4, 6), torch.zeros(1, 4, 2, 3)],
    }
    output["objectness"][0][0, 0, 2, 3] = 4  # centre (48, 32), 32 x 32
    output["offsets"][0][0, :, 2, 3] = torch.tensor([0.25, 0, -log(2), 0])
    output["objectness"][0][0, 0, 1, 1] = 2  # centre (16, 16)
    output["objectness"][1][0, 0, 1, 2] = 3  # centre (64, 32), 64 x 64
    output["objectness"][1][0, 0, 0, 0] = 1  # centre (0, 0)
    proposals = head.proposals(output)
    assert proposals.boxes[0].tolist() == [
        [48, 16, 64, 48], [32, 0, 96, 64], [0, 0, 32, 32], [0, 0, 32, 32],
    ]  # fmt: skip
    assert proposals.real.all()


def test_anchors_train_on_sampled_objects_and_background() -> None:
    head, output = bias_only_head(), bias_only_output()
    # The object is the anchor at row 2, column 3: 32 x 32 about (48, 32).
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
    # Three quarters as wide: the IoU is .75 here and .27 beside, so all 24 anchors are sampled.
    narrow = targets([[(36.0, 16.0, 60.0, 48.0)]], [[1]])
    assert head.anchor_loss(output, narrow)["proposal"].item() == pytest.approx(log(32 / 24) / 24)
    # A small object has an IoU of 1/64 with at most four anchors, and still takes the nearest.
    small = targets([[(46.0, 30.0, 50.0, 34.0)]], [[0]])
    expected_box = 2 * log(8) / 24
    assert head.anchor_loss(output, small)["proposal"].item() == pytest.approx(expected_box)


def test_256_anchors_are_sampled_and_at_most_half_of_them_are_objects() -> None:
    torch.manual_seed(0)
    head = build_head(
        make_config((320, 480), anchors=Anchors(smallest=8, octaves=1, ratios=(1,))), (4,)
    )
    assert isinstance(head, FasterRCNNHead)
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


def test_no_sampled_background_lies_in_the_padding() -> None:
    """4 x 6 anchors of 32 x 32; the first image ends at 48 x 40 pixels, the second nowhere."""
    head, output = bias_only_head(), bias_only_output(batch=2)
    truth = targets([[(32.0, 16.0, 64.0, 48.0)]] * 2, [[1], [1]])
    ends = torch.tensor([[-torch.inf, -torch.inf, 48, 40]])
    truth = replace(truth, borders=torch.cat((ends, truth.borders[1:])))
    head.anchor_loss(output, truth)["objectness"].backward()  # type: ignore[no-untyped-call]
    grad = output["objectness"][0].grad
    assert grad is not None
    sampled = grad[:, 0] != 0
    # Centres are 16 pixels apart: of those at 48 = 64 - 16 and 64 the second lies wholly outside.
    assert not sampled[0, :, 4:].any()
    assert sampled[0, :2, :2].all()
    assert sampled[0].sum() == 4 * 4 - 3  # without the neighbours that overlap the object by 1/3
    assert sampled[1].sum() == 4 * 6 - 4


def test_proposals_end_at_the_canvas_of_the_batch() -> None:
    """A head for inputs of up to 160 x 160 pixels, and a batch of 64 x 96."""
    head = build_head(make_config(size=(160, 160)), (16,))
    assert isinstance(head, FasterRCNNHead)
    output = bias_only_output()
    with torch.no_grad():
        output["offsets"][0][:, 2:] = 3  # twenty times as wide and high
    assert head.canvas(output) == (64, 96)
    proposals = head.proposals(output)
    assert proposals.boxes[0].amax(dim=0).tolist() == [0, 0, 96, 64]
    fixed = build_head(make_config(size=(60, 90)), (16,))
    assert isinstance(fixed, FasterRCNNHead)
    assert fixed.canvas(output) == (60, 90)  # of which the map has been rounded up
