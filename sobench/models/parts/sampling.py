"""Batched random samplers: which anchors or regions a stage trains on."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sobench.models.parts.matching import NEGATIVE

_NEGATIVES_END = 0.5
"""IoU from which a region of the second stage is no background; Libra R-CNN, section 3.1."""


class Sampler(Protocol):
    """Chooses the regions of every image that a stage trains on."""

    def __call__(
        self, matches: Tensor, iou: Tensor, num_samples: int, positive_fraction: float, /
    ) -> Tensor:
        """Choose regions of each image.

        Args:
            matches: ``[B, R]`` int64, as from ``match``: index of a region's object, ``NEGATIVE``
                or ``IGNORED``.
            iou: ``[B, R]`` IoU in 0..1 of a region with the object that it overlaps most.
            num_samples: regions to choose per image, at most.
            positive_fraction: of ``num_samples``, the largest fraction of objects, in 0..1.

        Returns:
            ``[B, R]`` bool.
        """
        ...


def random_sample(matches: Tensor, num_samples: int, positive_fraction: float) -> Tensor:
    """Positives at random, then negatives at random to fill up; Fast R-CNN, section 2.3.

    Args and result are those of a ``Sampler``, without the IoU.
    """
    quota = torch.full_like(matches[:, 0], int(num_samples * positive_fraction))
    positives = _draw(matches >= 0, quota, num_samples)
    # Where positives are few, negatives take their places.
    quota = num_samples - positives.sum(dim=1)
    return positives | _draw(matches == NEGATIVE, quota, num_samples)


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
    chosen = _draw(positive & (ranks < quota.unsqueeze(1)), wanted, most)
    return _filled(chosen, positive, wanted, most)


def _filled(chosen: Tensor, pool: Tensor, wanted: Tensor, most: int) -> Tensor:
    """``chosen``, and at random from the rest of ``pool`` what it lacks of ``wanted``."""
    return chosen | _draw(pool & ~chosen, wanted - chosen.sum(dim=1), most)


def _draw(pool: Tensor, quota: Tensor, most: int) -> Tensor:
    """At random ``quota`` ``[B]`` (none if negative, ``most`` at most) of ``pool`` ``[B, R]``."""
    key = torch.where(pool, torch.rand(pool.shape, device=pool.device), -1.0)
    key, index = key.topk(min(most, pool.shape[1]))
    place = torch.arange(key.shape[1], device=key.device)
    drawn = (key >= 0) & (place < quota.unsqueeze(1))
    return torch.zeros_like(pool).scatter(1, index, drawn)


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
