"""Small RetinaNet and SSD heads, and raw predictions to plant values in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sobench.models.detector import HeadOptions, HeadOutput
from sobench.models.heads.retinanet import RetinaNetHead
from sobench.models.heads.ssd import SSDHead
from sobench.models.methods.ssd.model import default_boxes
from sobench.suite.network import Anchors
from tests.models.small_config import CLASSES, make_config


def retinanet_head(octaves: int = 2) -> RetinaNetHead:
    """Over two maps of strides 8 and 16, with ``3 * octaves`` anchors per cell."""
    anchors = Anchors(smallest=16, octaves=octaves, ratios=(0.25, 1, 4))
    return RetinaNetHead(make_config(anchors=anchors), (8, 16), HeadOptions())


def retinanet_output(batch: int = 1, logit: float = -12.0, octaves: int = 2) -> HeadOutput:
    """Background everywhere and no offsets; maps of strides 8 and 16."""
    sizes, num_anchors = ((8, 12), (4, 6)), 3 * octaves
    return {
        "logits": [
            torch.full((batch, num_anchors * CLASSES, *size), logit).requires_grad_()
            for size in sizes
        ],
        "offsets": [torch.zeros(batch, num_anchors * 4, *size).requires_grad_() for size in sizes],
    }


def ssd_head() -> SSDHead:
    """Over two maps of strides 32 and 64, with 4 and 6 default boxes per cell."""
    return SSDHead(make_config(), (32, 64), (8, 8), default_boxes([16, 40, 90], (4, 6)))


def ssd_output(batch: int = 1, background: float = 14.0) -> HeadOutput:
    """No offsets, and logits of 0 but for the background."""
    sizes = ((4, 2, 3), (6, 1, 2))  # default boxes per cell, height, width
    logits = [torch.zeros(batch, a * (CLASSES + 1), h, w) for a, h, w in sizes]
    for maps in logits:
        maps[:, :: CLASSES + 1] = background
    offsets = [torch.zeros(batch, a * 4, h, w) for a, h, w in sizes]
    return {
        "logits": [x.requires_grad_() for x in logits],
        "offsets": [x.requires_grad_() for x in offsets],
    }


def set_values(output: HeadOutput, name: str, level: int, values: list[Any]) -> None:
    """Write ``(index, value)`` pairs into a map that gradients will reach."""
    with torch.no_grad():
        for index, value in values:
            output[name][level][index] = value


def anchors_with_gradient(maps: list[Tensor], num_anchors: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Level, image, anchor, row and column of every anchor whose values get a gradient."""
    anchors: set[tuple[int, ...]] = set()
    for level, (x, count) in enumerate(zip(maps, num_anchors, strict=True)):
        assert x.grad is not None
        batch, channels, height, width = x.shape
        reached = x.grad.reshape(batch, count, channels // count, height, width) != 0
        anchors |= {(level, *index) for index in reached.any(dim=2).nonzero().tolist()}
    return anchors
