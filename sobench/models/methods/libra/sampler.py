"""IoU-balanced sampling of regions; Libra R-CNN, arXiv:1904.02701, section 3.1."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.models.parts.matching import NEGATIVE
from sobench.models.parts.sampling import draw
from sobench.models.parts.whole_batch import whole_rand

_NEGATIVES_END = 0.5
"""IoU from which a region of the second stage is an object, not background."""


def iou_balanced_sample(
    matches: Tensor,
    iou: Tensor,
    num_samples: int,
    positive_fraction: float,
    *,
    bins: int = 3,
    code_compat: bool = False,
) -> Tensor:
    """The same number of positives for every object and of negatives for every range of IoU.

    For ``N`` positives, ``round(N / objects) + 1`` are drawn for each object; then surplus ones are
    dropped at random, or missing ones filled up at random. Negatives come from ``bins`` equal
    ranges of ``0 <= IoU < .5``, the same number from each, and are filled up at random too. Every
    call draws from the same distribution.

    Args:
        matches, iou, num_samples, positive_fraction: as of a ``Sampler``.
        bins: number of ranges of IoU.
        code_compat: as in the authors' code, the ranges divide 0 to the largest IoU of any region
            of the image, which is 1 where objects are regions themselves, and negatives without
            overlap only fill up. (That code lets those into the lowest range on the first call of
            a process and never again; here the first call is like the others.)

    Returns:
        ``[B, R]`` bool.
    """
    positive_quota = torch.full_like(matches[:, 0], int(num_samples * positive_fraction))
    positives = _instance_balanced(matches, positive_quota, num_samples)
    negative_quota = num_samples - positives.sum(dim=1)
    negative = matches == NEGATIVE
    pool = negative & (iou > 0) if code_compat else negative
    end = iou.amax(dim=1, keepdim=True)
    if not code_compat:
        end = torch.full_like(end, _NEGATIVES_END)
    # Rounding must not push an IoU just below the end out of the last range.
    bin_of = (iou / end.clamp(min=1e-9) * bins).long().clamp(max=bins - 1)
    bin_quota = negative_quota.div(bins, rounding_mode="floor").unsqueeze(1)
    negatives = pool & (_ranks(torch.where(pool, bin_of, bins)) < bin_quota)
    for candidates in (pool, negative):
        negatives = _fill_up(negatives, candidates, negative_quota, num_samples)
    return positives | negatives


def _instance_balanced(matches: Tensor, quota: Tensor, most: int) -> Tensor:
    """``[B, R]`` bool, ``quota`` ``[B]`` positives of each image or all that it has."""
    positive = matches >= 0
    ranks = _ranks(matches)
    objects = (positive & (ranks == 0)).sum(dim=1)  # one region of each object has rank 0
    object_quota = (quota / objects.clamp(min=1)).round() + 1
    chosen = draw(positive & (ranks < object_quota.unsqueeze(1)), quota, most)
    return _fill_up(chosen, positive, quota, most)


def _fill_up(chosen: Tensor, pool: Tensor, quota: Tensor, most: int) -> Tensor:
    """``chosen``, and random others of ``pool`` until there are ``quota`` ``[B]``."""
    return chosen | draw(pool & ~chosen, quota - chosen.sum(dim=1), most)


def _ranks(groups: Tensor) -> Tensor:
    """``[B, R]``: the random rank, from 0, of every region among those of its image and group."""
    shuffled = whole_rand(groups.shape, groups.device).argsort(dim=1)
    order = shuffled.gather(1, groups.gather(1, shuffled).argsort(dim=1, stable=True))
    sorted_groups = groups.gather(1, order)
    place = torch.arange(groups.shape[1], device=groups.device).expand_as(groups)
    begins = sorted_groups != sorted_groups.roll(1, dims=1)
    begins[:, 0] = True
    begin = torch.where(begins, place, 0).cummax(dim=1).values
    return torch.empty_like(order).scatter(1, order, place - begin)
