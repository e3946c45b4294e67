"""Overlaps on a CPU: of real boxes alone, and in tiles that fit its cache.

A batch is padded to its most crowded image, so that most of its boxes may be padding. A GPU
computes on it rather than wait to be told how many boxes are real.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts.boxes import box_iou

_TILE = 1024
"""Anchors whose overlaps are computed together: their intermediate results fit a CPU's cache."""


def real_boxes(targets: Targets, most: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The boxes of every image without padding, in groups that are not empty.

    Args:
        most: boxes of a group.

    Returns:
        of each group its image, boxes ``[N, 4]``, and their places ``[N]`` among the padded ones.
    """
    for image, labels in enumerate(targets.labels):
        real = (labels >= 0).nonzero().squeeze(1)
        for places in torch.split(real, most) if len(real) else ():
            yield image, targets.boxes[image, places], places


def tiled_iou(boxes: Tensor, anchors: Tensor) -> Tensor:
    """``box_iou`` of ``[N, 4]`` with ``[A, 4]`` boxes, bit for bit: ``[N, A]``."""
    columns = anchors.t().contiguous().t()  # so that each side is read from one row of memory
    tiles = [box_iou(boxes.unsqueeze(0), tile).squeeze(0) for tile in torch.split(columns, _TILE)]
    return torch.cat(tiles, dim=1)
