"""IoU-balanced sampling of regions; Libra R-CNN, arXiv:1904.02701, section 3.1."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.models.parts.matching import NEGATIVE
from sobench.models.parts.sampling import draw

_NEGATIVES_END = 0.5
"""IoU from which a region of the second stage is an object, not background."""


def iou_balanced_sample(
    assigned: Tensor,
    overlap: Tensor,
    count: int,
    share: float,
    *,
    bins: int = 3,
    code_compat: bool = False,
) -> Tensor:
    """As many positives of every object, negatives of every IoU; Libra R-CNN, section 3.1.

    ``N`` positives are wanted: ``round(N / objects) + 1`` are drawn of each object, what is too
    much is cut at random, and what is too little filled up at random. Negatives come from ``bins``
    equal ranges of ``0 <= IoU < .5``, the same number from each, and are filled up at random too.
    Every call draws from the same distribution.

    Args:
        code_compat: as the authors' code does it: the ranges divide 0 to the largest IoU of any
            region of the image, which is 1 where objects are regions themselves, and negatives
            without overlap only fill up. (That code lets those into the lowest range on the very
            first call of a process and never again; here the first call is like the others.)
    """
    wanted = torch.full_like(assigned[:, 0], int(count * share))
    positives = _instance_balanced(assigned, wanted, count)
    wanted = count - positives.sum(dim=1)
    negative = assigned == NEGATIVE
    pool = negative & (overlap > 0) if code_compat else negative
    end = overlap.amax(dim=1, keepdim=True) if code_compat else overlap.new_tensor(_NEGATIVES_END)
    # Rounding must not push an IoU just below the end out of the last range.
    bin_of = (overlap / end.clamp(min=1e-9) * bins).long().clamp(max=bins - 1)
    quota = wanted.div(bins, rounding_mode="floor").unsqueeze(1)
    chosen = pool & (_ranks(torch.where(pool, bin_of, bins)) < quota)
    for rest in (pool, negative):
        chosen = _filled(chosen, rest, wanted, count)
    return positives | chosen


def _instance_balanced(assigned: Tensor, wanted: Tensor, most: int) -> Tensor:
    """``[B, R]`` bool, ``wanted`` ``[B]`` positives of each image or all that there are."""
    positive = assigned >= 0
    ranks = _ranks(assigned)
    objects = (positive & (ranks == 0)).sum(dim=1)  # each is the first of its object
    quota = (wanted / objects.clamp(min=1)).round() + 1
    chosen = draw(positive & (ranks < quota.unsqueeze(1)), wanted, most)
    return _filled(chosen, positive, wanted, most)


def _filled(chosen: Tensor, pool: Tensor, wanted: Tensor, most: int) -> Tensor:
    """``chosen``, and at random from the rest of ``pool`` what it lacks of ``wanted``."""
    return chosen | draw(pool & ~chosen, wanted - chosen.sum(dim=1), most)


def _ranks(groups: Tensor) -> Tensor:
    """Random place, from 0, of every region among those of its image and group: ``[B, R]``."""
    shuffled = torch.rand(groups.shape, device=groups.device).argsort(dim=1)
    order = shuffled.gather(1, groups.gather(1, shuffled).argsort(dim=1, stable=True))
    sorted_groups = groups.gather(1, order)
    place = torch.arange(groups.shape[1], device=groups.device).expand_as(groups)
    begins = sorted_groups != sorted_groups.roll(1, dims=1)
    begins[:, 0] = True
    begin = torch.where(begins, place, 0).cummax(dim=1).values
    return torch.empty_like(order).scatter(1, order, place - begin)
