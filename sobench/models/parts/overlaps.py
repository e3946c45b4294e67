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

_PAIRS = 4096
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


_GROUP = 32
"""Anchors of a group, which lie close together: a small box overlaps few of the groups."""


@dataclass(frozen=True)
class NearPairs:
    """Overlaps of boxes with groups of anchors, without those of which nobody would ask.

    Anchors count through the batch, each image with as many as fill its last group.

    Attributes:
        iou: ``[P, 32]``.
        box: ``[P]`` index of the box.
        group: ``[P]`` index of the group of anchors.
        groups: number of them.
    """

    iou: Tensor
    box: Tensor
    group: Tensor
    groups: int

    def best_iou(self) -> Tensor:
        """Greatest IoU of each anchor: ``[groups * 32]``."""
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


def near_pairs(
    boxes: Tensor, image: Tensor, anchors: Tensor, batch: int, least: float
) -> NearPairs:
    """All pairs with an IoU of at least ``least``, the best pairs of each box, and some others.

    Args:
        boxes: ``[N, 4]``; image: ``[N]`` index of the image that a box belongs to.
        anchors: ``[A, 4]``, or ``[B, A, 4]`` if every image has anchors of its own.
        batch: number of images.
        least: more than 0.
    """
    sides = _grouped(anchors)
    per_image = sides.shape[2]
    of_image = image if anchors.dim() == 3 else torch.zeros_like(image)
    first, corners, flat = of_image * per_image, boxes.t(), sides.flatten(1, 2)
    bound = _greatest_iou(boxes, sides, of_image)
    # What a box is known to reach in one group is asked of every other group.
    reached = _iou_of_groups(corners, flat, torch.arange(len(boxes)), first + bound.argmax(dim=1))
    needed = reached.amax(dim=1, keepdim=True).clamp(max=least)
    box, group = ((bound > 0) & (bound >= needed)).nonzero(as_tuple=True)
    iou = _iou_of_groups(corners, flat, box, first[box] + group)
    return NearPairs(iou, box, image[box] * per_image + group, batch * per_image)


_SLACK = 1 + 1e-4
"""By how much rounding may lift an IoU above its bound, with room to spare."""


def _greatest_iou(boxes: Tensor, sides: Tensor, of_image: Tensor) -> Tensor:
    """``[N, groups]`` bounds that no IoU of a box with an anchor of the group passes.

    With the shared area ``s``, and areas ``b`` and ``a`` of box and anchor, the IoU is
    ``s / (b + a - s)``. It grows with ``s``, which is bounded by the rectangle around the group and
    by its largest anchor, and falls with ``a``, which is at least ``s`` and the smallest anchor.

    Args:
        boxes: ``[N, 4]``; of_image: ``[N]`` index into the second dimension of ``sides``.
        sides: as from ``_grouped``.
    """
    areas = (sides[2:3] - sides[0:1]) * (sides[3:4] - sides[1:2])
    groups = torch.cat((sides[:2], areas)).amin(dim=-1), torch.cat((sides[2:], areas)).amax(dim=-1)
    if sides.shape[1] > 1:  # otherwise all images share them
        groups = groups[0][:, of_image], groups[1][:, of_image]
    (left, top, smallest), (right, bottom, largest) = groups
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(dim=1)
    width = torch.minimum(x2, right).sub_(torch.maximum(x1, left)).clamp_(min=0)
    height = torch.minimum(y2, bottom).sub_(torch.maximum(y1, top)).clamp_(min=0)
    shared = torch.minimum(width.mul_(height), largest)
    union = (smallest - shared).clamp_(min=0).add_((x2 - x1) * (y2 - y1))
    return (shared * _SLACK).div_(union.clamp_(min=1e-9))


def _iou_of_groups(corners: Tensor, flat: Tensor, box: Tensor, group: Tensor) -> Tensor:
    """``[P, 32]`` IoU of boxes with the anchors of groups.

    Args:
        corners: ``[4, N]``; flat: ``[4, groups, 32]``.
        box: ``[P]`` indices into the former; group: ``[P]`` into the latter.
    """
    # In parts, whose intermediate results fit a CPU's cache, and spelt out, as it likes long rows.
    iou = [
        paired_iou(
            corners[:, some].unsqueeze(2).expand(-1, -1, _GROUP).contiguous().permute(1, 2, 0),
            flat.index_select(1, which).permute(1, 2, 0),
        )
        for some, which in zip(torch.split(box, _PAIRS), torch.split(group, _PAIRS), strict=True)
    ]
    return torch.cat(iou)


def padded_count(anchors: int) -> int:
    """Number of anchors that fill the groups of an image which has so many."""
    return -(-anchors // _GROUP) * _GROUP


def _grouped(anchors: Tensor) -> Tensor:
    """``[4, 1 or B, groups, 32]`` sides of anchors, the last one repeated to fill its group."""
    count = anchors.shape[-2]
    place = torch.arange(padded_count(count)).clamp(max=count - 1)
    sides = anchors.reshape(-1, count, 4).permute(2, 0, 1)[..., place]
    return sides.view(4, len(sides[0]), -1, _GROUP)
