"""Distillation of feature maps where objects are: the key positions and their loss.

ZoomInNet, Remote Sensing 2021, 13(6):1198, section 3.3. Its equations are for one map. For a
pyramid there are two readings. Pooled, the mean, the deviation, each object's best IoU and the
final sums run over all levels together, so that a level counts by its key positions. By map, each
level has all of these alone and the losses of the levels are summed, so that every level counts
alike. The deviation is that of the population.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts import fused
from sobench.models.parts.boxes import box_iou
from sobench.models.parts.matching import MAX_PAIRS
from sobench.models.parts.overlaps import real_boxes, tiled_iou
from sobench.models.parts.whole_batch import whole_count

LambdaMode = Literal["literal", "nonzero", "fixed"]
"""Origin of an image's ``lambda_thresh``: mean and deviation of all its IoUs (``literal``, Eq. 15)
or of those that are not zero (``nonzero``); or it is .5, as in arXiv:1906.03609 (``fixed``)."""

_FIXED = 0.5


@torch.no_grad()
def key_positions(
    targets: Targets,
    anchors: Tensor,
    sizes: Sequence[tuple[int, int]],
    num_anchors: int,
    lambda_mode: LambdaMode = "literal",
) -> list[Tensor]:
    """The cells that are worth distilling (AKDP), Eq. 11 to 18.

    A cell is on if the IoU of one of its anchors with one of its image's objects is more than
    ``lambda_thresh`` times the greatest IoU of that object with any anchor. Neither padding nor an
    object that no anchor overlaps turns a cell on.

    Args:
        anchors: ``[A, 4]`` of all levels, level by level, ``num_anchors`` to a cell.
        sizes: height and width of each level's map.

    Returns:
        ``[B, h, w]`` bool of each level.
    """
    relative_iou, moments = _relative_iou(targets, anchors, lambda_mode)
    threshold = _lambda_thresh(moments, lambda_mode).to(relative_iou.dtype)
    cells = (relative_iou > threshold.unsqueeze(1)).view(len(moments), -1, num_anchors).any(dim=2)
    levels = torch.split(cells, [height * width for height, width in sizes], dim=1)
    return [level.view(-1, *size) for level, size in zip(levels, sizes, strict=True)]


def _relative_iou(
    targets: Targets, anchors: Tensor, lambda_mode: LambdaMode
) -> tuple[Tensor, Tensor]:
    """``[B, A]``, the greatest share that an anchor has of an object's greatest IoU, in 0..1.

    Also the ``_moments`` of each image, which are 0 where ``lambda_mode`` needs none; their sums
    may differ from device to device by their rounding.
    """
    if fused.is_fused(anchors):
        with_moments, only_nonzero = lambda_mode != "fixed", lambda_mode == "nonzero"
        found: tuple[Tensor, Tensor] = fused.relative_iou(
            targets.boxes, targets.labels, anchors, with_moments, only_nonzero
        )
        return found
    if anchors.is_cuda:
        return _relative_iou_of_batch(targets, anchors, lambda_mode)
    return _relative_iou_by_image(targets, anchors, lambda_mode)


def _relative_iou_of_batch(
    targets: Targets, anchors: Tensor, lambda_mode: LambdaMode
) -> tuple[Tensor, Tensor]:
    """``_relative_iou`` of all images together."""
    batch, objects = targets.labels.shape
    relative_iou = anchors.new_zeros(batch, len(anchors))
    moments = anchors.new_zeros(batch, 3, dtype=torch.float64)
    step = max(1, MAX_PAIRS // max(1, batch * len(anchors)))
    for start in range(0, objects, step):
        real = (targets.labels[:, start : start + step] >= 0).unsqueeze(-1)
        iou = box_iou(targets.boxes[:, start : start + step], anchors).mul_(real)
        if lambda_mode != "fixed":
            moments += _moments(iou, real, only_nonzero=lambda_mode == "nonzero")
        # Divided by max_IOU, Eq. 16 compares with lambda_thresh alone, which is known at the end.
        max_iou = iou.amax(dim=2, keepdim=True).clamp(min=torch.finfo(iou.dtype).tiny)
        relative_iou = torch.maximum(relative_iou, iou.div_(max_iou).amax(dim=1))
    return relative_iou, moments


def _relative_iou_by_image(
    targets: Targets, anchors: Tensor, lambda_mode: LambdaMode
) -> tuple[Tensor, Tensor]:
    """``_relative_iou`` without the cost of padding."""
    relative_iou = anchors.new_zeros(len(targets.labels), len(anchors))
    moments = anchors.new_zeros(len(targets.labels), 3, dtype=torch.float64)
    step = max(1, MAX_PAIRS // max(1, len(anchors)))
    for image, boxes, _ in real_boxes(targets, step):
        iou = tiled_iou(boxes, anchors)
        if lambda_mode != "fixed":
            real = torch.ones(1, len(boxes), 1, dtype=torch.bool)
            moments[image] += _moments(iou.unsqueeze(0), real, lambda_mode == "nonzero")[0]
        max_iou = iou.amax(dim=1, keepdim=True).clamp(min=torch.finfo(iou.dtype).tiny)
        relative = iou.div_(max_iou).amax(dim=0)
        relative_iou[image] = torch.maximum(relative_iou[image], relative)
    return relative_iou, moments


def key_positions_by_map(
    targets: Targets,
    anchors: Tensor,
    sizes: Sequence[tuple[int, int]],
    num_anchors: int,
    lambda_mode: LambdaMode = "literal",
) -> list[Tensor]:
    """``key_positions`` of each level as if there were no other.

    An object has key positions on every level where an anchor overlaps it, however little.
    """
    counts = [height * width * num_anchors for height, width in sizes]
    return [
        key_positions(targets, level, [size], num_anchors, lambda_mode)[0]
        for level, size in zip(torch.split(anchors, counts), sizes, strict=True)
    ]


def _moments(iou: Tensor, real: Tensor, only_nonzero: bool) -> Tensor:
    """Count, sum and sum of squares of each image's IoUs: ``[B, 3]``."""
    pairs = (1, 2)
    count = (iou > 0).sum(dim=pairs) if only_nonzero else real.sum(dim=pairs) * iou.shape[2]
    sums = (x.sum(dim=pairs, dtype=torch.float64) for x in (iou, iou.square()))
    return torch.stack([count.double(), *sums], dim=1)


def _lambda_thresh(moments: Tensor, mode: LambdaMode) -> Tensor:
    """``[B]``: mean plus standard deviation, Eq. 15, or .5."""
    if mode == "fixed":
        return torch.full_like(moments[:, 0], _FIXED)
    count, total, squares = moments.unbind(dim=1)
    count = count.clamp(min=1)
    mean = total / count
    return mean + (squares / count - mean.square()).clamp(min=0).sqrt()


def position_aware_l2(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    masks: Sequence[Tensor],
    by_map: bool = False,
) -> Tensor:
    """Squared difference of the channels of masked cells, over their number; Eq. 19 to 21.

    The factor ``lambda_distill`` is left out. The sums run over cells, levels and the batch.

    Args:
        student, teacher: ``[B, C, h, w]`` of each level; gradients go to the student's.
        masks: ``[B, h, w]`` bool of each level.
        by_map: divide each level's sum by the number of its own cells, and add these up.

    Returns:
        Float32 scalar; 0 where no cell is masked.

    Raises:
        ValueError: a map of the student and one of the teacher are not of one shape.
    """
    distances = []
    for level, (s, t, mask) in enumerate(zip(student, teacher, masks, strict=True)):
        if s.shape != t.shape:
            raise ValueError(
                f"level {level} is {list(s.shape)} in the student and {list(t.shape)} in the "
                "teacher; only maps of one shape can be distilled"
            )
        squared = (t.float() - s.float()).square().sum(dim=1)
        distances.append(torch.where(mask, squared, 0.0).sum())
    sums, cells = torch.stack(distances), whole_count(torch.stack([mask.sum() for mask in masks]))
    if by_map:
        return (sums / cells.clamp(min=1)).sum()
    return sums.sum() / cells.sum().clamp(min=1)
