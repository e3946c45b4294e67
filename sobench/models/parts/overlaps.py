"""Overlaps on a CPU: of real boxes alone, near anchors alone, in tiles that fit its cache.

A batch is padded to its most crowded image, so that most of its boxes may be padding. A GPU
computes on it rather than wait to be told how many boxes are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts.boxes import box_iou, paired_iou

_TILE = 1024
"""Anchors whose overlaps are computed together: their intermediate results fit a CPU's cache."""

_PAIRS = 256
"""Pairs of a box and a group of anchors of which the same is true."""


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


_GROUP = 64
"""Anchors of a group, which lie close together: a small box overlaps few of the groups."""


@dataclass(frozen=True)
class NearPairs:
    """Overlaps of boxes with the groups of anchors that they may overlap; with others they are 0.

    Anchors count through the batch, each image with as many as fill its last group.

    Attributes:
        iou: ``[P, 64]``.
        box: ``[P]`` index of the box.
        group: ``[P]`` index of the group of anchors.
        groups: number of them.
    """

    iou: Tensor
    box: Tensor
    group: Tensor
    groups: int

    def best_iou(self) -> Tensor:
        """Greatest IoU of each anchor: ``[groups * 64]``."""
        best = self.iou.new_zeros(self.groups, _GROUP)
        rows = self.group.unsqueeze(1).expand(-1, _GROUP)
        return best.scatter_reduce_(0, rows, self.iou, "amax").flatten()

    def at_least(self, iou: float) -> tuple[Tensor, Tensor, Tensor]:
        """IoU, box and anchor of the pairs with so great an IoU, more than 0, or a greater one."""
        pair, place = (self.iou >= iou).nonzero(as_tuple=True)
        return self.iou[pair, place], self.box[pair], self.group[pair] * _GROUP + place

    def best_of_boxes(self, boxes: int) -> tuple[Tensor, Tensor]:
        """Box and anchor of the pairs of which no other one of the box has a greater IoU.

        Args:
            boxes: number of them; one that overlaps no anchor has no pair.
        """
        of_pair = self.iou.amax(dim=1)
        best = of_pair.new_zeros(boxes).scatter_reduce_(0, self.box, of_pair, "amax")[self.box]
        rows = ((of_pair == best) & (best > 0)).nonzero().squeeze(1)
        row, place = (self.iou[rows] == best[rows].unsqueeze(1)).nonzero(as_tuple=True)
        pair = rows[row]
        return self.box[pair], self.group[pair] * _GROUP + place


def near_pairs(boxes: Tensor, image: Tensor, anchors: Tensor, batch: int) -> NearPairs:
    """All pairs of which the IoU is not 0, and some others.

    Args:
        boxes: ``[N, 4]``; image: ``[N]`` index of the image that a box belongs to.
        anchors: ``[A, 4]``, or ``[B, A, 4]`` if every image has anchors of its own.
        batch: number of images.
    """
    sides = _grouped(anchors)
    low, high = sides[:2].amin(dim=-1), sides[2:].amax(dim=-1)
    per_image = sides.shape[2]
    of_image = image if anchors.dim() == 3 else torch.zeros_like(image)
    # A box that does not overlap the rectangle around a group overlaps none of its anchors.
    near = boxes[:, None, 0] < high[0, of_image]
    near &= boxes[:, None, 2] > low[0, of_image]
    near &= boxes[:, None, 1] < high[1, of_image]
    near &= boxes[:, None, 3] > low[1, of_image]
    box, group = near.nonzero(as_tuple=True)
    flat, index, corners = sides.flatten(1, 2), of_image[box] * per_image + group, boxes.t()
    # In parts, whose intermediate results fit a CPU's cache, and spelt out, as it likes long rows.
    iou = [
        paired_iou(
            corners[:, some].unsqueeze(2).expand(-1, -1, _GROUP).contiguous().permute(1, 2, 0),
            flat.index_select(1, which).permute(1, 2, 0),
        )
        for some, which in zip(torch.split(box, _PAIRS), torch.split(index, _PAIRS), strict=True)
    ]
    return NearPairs(torch.cat(iou), box, image[box] * per_image + group, batch * per_image)


def padded_count(anchors: int) -> int:
    """Number of anchors that fill the groups of an image which has so many."""
    return -(-anchors // _GROUP) * _GROUP


def _grouped(anchors: Tensor) -> Tensor:
    """``[4, 1 or B, groups, 64]`` sides of anchors, the last one repeated to fill its group."""
    count = anchors.shape[-2]
    place = torch.arange(padded_count(count)).clamp(max=count - 1)
    sides = anchors.reshape(-1, count, 4).permute(2, 0, 1)[..., place]
    return sides.view(4, len(sides[0]), -1, _GROUP)
