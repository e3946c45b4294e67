"""Small Faster R-CNN heads, and raw predictions to plant values in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sobench.models.detector import DetectorConfig, HeadOptions, HeadOutput
from sobench.models.heads import build_head
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.suite.network import Anchors, Regions
from tests.models import small_config
from tests.models.small_config import SIZE

SMALL = Regions(pre_nms_top_n=50, post_nms_top_n=20, batch_size_per_image=8, channels=16)
OBJECT: list[list[tuple[float, ...]]] = [[(36.0, 16.0, 60.0, 48.0)]]


def make_config(size: tuple[int, int] = SIZE, **changes: Any) -> DetectorConfig:
    """Few proposals, and one square anchor per cell, of 32 px on the finest level."""
    anchors = Anchors(smallest=32, octaves=1, ratios=(1,))
    defaults: dict[str, Any] = {"head": "faster_rcnn", "anchors": anchors, "regions": SMALL}
    return small_config.make_config(size=size, **(defaults | changes))


class Constant(nn.Module):
    """A box head that returns zeros, so that the predictions are the biases alone."""

    resolution, outputs = 7, 4

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled.new_zeros(len(pooled), self.outputs)


def bias_only_head(**changes: Any) -> FasterRCNNHead:
    """Over one map of stride 16 with 4 x 6 cells and one anchor of 32 x 32 per cell."""
    options = HeadOptions(box_head=Constant())
    head = build_head(make_config(**changes), (16,), options)
    assert isinstance(head, FasterRCNNHead)
    return head


def bias_only_output(batch: int = 1, objectness: float = 0.0) -> HeadOutput:
    """No offsets, and the same objectness everywhere."""
    return {
        "objectness": [torch.full((batch, 1, 4, 6), objectness).requires_grad_()],
        "offsets": [torch.zeros(batch, 4, 4, 6).requires_grad_()],
        "pyramid": [torch.zeros(batch, 8, 4, 6).requires_grad_()],
    }


def set_bias(layer: nn.Linear, values: list[float]) -> None:
    """Set the bias of a layer without a gradient."""
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(values))


def full_head(**changes: Any) -> tuple[FasterRCNNHead, list[Tensor]]:
    """Over five levels, and random maps for two images."""
    torch.manual_seed(0)
    anchors = Anchors(smallest=8, octaves=1, ratios=(1,))
    head = build_head(make_config(**{"anchors": anchors} | changes), (4, 8, 16, 32, 64))
    assert isinstance(head, FasterRCNNHead)
    sizes = ((16, 24), (8, 12), (4, 6), (2, 3), (1, 2))
    return head, [torch.randn(2, 8, *size).requires_grad_() for size in sizes]
