"""Encoding and overlap of boxes against hand values and torchvision."""

from __future__ import annotations

from math import log

import pytest
import torch
from torchvision import ops

from sobench.models.parts.boxes import box_ioa, box_iou, decode, encode
from tests.models.parts.random_boxes import random_boxes


def test_encode_by_hand() -> None:
    anchor, box = torch.tensor([0.0, 0, 10, 20]), torch.tensor([5.0, 5, 25, 15])
    expected = torch.tensor([1.0, 0.0, log(2), -log(2)])
    assert torch.allclose(encode(box, anchor, (1, 1, 1, 1)), expected)
    scaled = expected / torch.tensor([0.1, 0.1, 0.2, 0.2])
    assert torch.allclose(encode(box, anchor, (0.1, 0.1, 0.2, 0.2)), scaled)


def test_decode_by_hand() -> None:
    anchor = torch.tensor([10.0, 20, 20, 40])
    offsets = torch.tensor([0.5, -0.25, log(2), log(0.5)])
    assert decode(offsets, anchor, (1, 1, 1, 1)).tolist() == pytest.approx([10, 20, 30, 30])


@pytest.mark.parametrize("stds", [(1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)])
def test_decode_undoes_encode(stds: tuple[float, ...]) -> None:
    boxes, anchors = random_boxes(2, 50, seed=0), random_boxes(50, seed=1)
    assert torch.allclose(decode(encode(boxes, anchors, stds), anchors, stds), boxes, atol=1e-3)


def test_growth_is_limited() -> None:
    anchor = torch.tensor([0.0, 0, 16, 16])
    box = decode(torch.tensor([0.0, 0, 1e4, 1e4]), anchor, (1, 1, 1, 1))
    assert (box[2:] - box[:2]).tolist() == pytest.approx([1000, 1000], rel=1e-5)


def test_padding_encodes_to_finite_numbers() -> None:
    assert (
        encode(torch.zeros(4), torch.tensor([0.0, 0, 8, 8]), (0.1, 0.1, 0.2, 0.2)).isfinite().all()
    )


def test_overlap_by_hand() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 0, 0]]])
    anchors = torch.tensor([[5.0, 5, 15, 15], [0, 0, 10, 10], [10, 0, 20, 10], [0, 0, 5, 20]])
    iou = [[1 / 7, 1.0, 0.0, 50 / 150], [0.0] * 4, [0.0] * 4]
    ioa = [[0.25, 1.0, 0.0, 0.5], [0.0] * 4, [0.0] * 4]
    assert torch.allclose(box_iou(boxes, anchors), torch.tensor([iou]))
    assert torch.allclose(box_ioa(boxes, anchors), torch.tensor([ioa]))


def test_iou_is_torchvisions_for_shared_anchors_and_for_anchors_of_each_image() -> None:
    boxes, anchors = random_boxes(3, 20, seed=0), random_boxes(3, 30, seed=1)
    iou = box_iou(boxes, anchors)
    for index in range(3):
        expected = ops.box_iou(boxes[index], anchors[index])
        assert torch.allclose(iou[index], expected)
        iou_of_shared = box_iou(boxes, anchors[index])
        assert torch.allclose(iou_of_shared[index], expected)
