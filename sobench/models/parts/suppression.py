"""Which proposals survive non-maximum suppression within the levels of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from sobench.models.parts.boxes import box_iou
from sobench.models.parts.chosen import has_fixed_sizes
from sobench.models.parts.matching import MAX_PAIRS

_ROUNDS = 8
"""Rounds of suppression between two looks whether all is settled; each look waits for a GPU."""


def survivors(
    boxes: Tensor, scores: Tensor, real: Tensor, counts: Sequence[int], iou: float
) -> Tensor:
    """Which of ``[B, N, 4]`` boxes non-maximum suppression keeps within each level: ``[B, N]``.

    Args:
        boxes, scores: ``[B, N, 4]`` and ``[B, N]``, in double precision.
        real: ``[B, N]`` bool, boxes that take part.
        counts: boxes of each level, which follow one another.
        iou: above which the box of the lower score is dropped.
    """
    kept_by = _in_rounds if has_fixed_sizes(boxes.device) else _by_image
    return kept_by(boxes, scores, real, counts, iou)


def _by_image(
    boxes: Tensor, scores: Tensor, real: Tensor, counts: Sequence[int], iou: float
) -> Tensor:
    """``survivors``, by torchvision."""
    level = torch.repeat_interleave(torch.tensor(counts, device=boxes.device))
    survives = torch.zeros_like(real)
    # Image by image, as batched_nms leaves its single kernel where boxes are many. In double
    # precision its group offsets do not blur boxes of a few pixels.
    for box, score, usable, mask in zip(boxes, scores, real, survives, strict=True):
        keep = batched_nms(box[usable], score[usable], level[usable], iou)
        mask[usable.nonzero().squeeze(1)[keep]] = True
    return survives


def _in_rounds(
    boxes: Tensor, scores: Tensor, real: Tensor, counts: Sequence[int], iou: float
) -> Tensor:
    """``survivors``, of all images and levels together and in few steps.

    A box is kept if no kept one with a higher score overlaps it. After ``n`` rounds of dropping by
    this rule, starting from all boxes, each box is settled that is at the end of no chain of more
    than ``n`` overlapping ones; what a round does not change is the result.
    """
    by_level = partial(torch.split, split_size_or_sections=list(counts), dim=1)
    levels = by_level(real)
    parts = zip(by_level(boxes), by_level(scores), levels, strict=True)
    drops = [_drops(*part, iou) for part in parts]
    kept = list(levels)
    while True:
        for _ in range(_ROUNDS):
            before = kept
            kept = [
                level & ~(drop & by.unsqueeze(1)).any(dim=2)
                for level, drop, by in zip(levels, drops, before, strict=True)
            ]
        changes = [(a != b).any() for a, b in zip(before, kept, strict=True)]
        if not bool(torch.stack(changes).any()):
            return torch.cat(kept, dim=1)


def _drops(boxes: Tensor, scores: Tensor, real: Tensor, iou: float) -> Tensor:
    """``[B, N, N]`` bool, whether a box (second) would be dropped for another (third)."""
    mine, others = scores.unsqueeze(2), scores.unsqueeze(1)
    place = torch.arange(scores.shape[1], device=scores.device)
    # Of equal scores the first counts as higher.
    higher = (others > mine) | ((others == mine) & (place < place.unsqueeze(1)))
    # Images in groups, so that the overlaps stay few if boxes are many.
    groups = torch.split(boxes, max(1, MAX_PAIRS // max(1, boxes.shape[1] ** 2)))
    overlapping = torch.cat([box_iou(group, group) > iou for group in groups])
    return higher & real.unsqueeze(1) & overlapping
