"""Which regions a stage trains on: batched random samplers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sobench.models.parts.matching import NEGATIVE


class Sampler(Protocol):
    """Chooses regions of every image to train on."""

    def __call__(self, assigned: Tensor, overlap: Tensor, count: int, share: float) -> Tensor:
        """Choose at most ``count`` regions an image, at most ``share`` of them objects.

        Args:
            assigned: ``[B, R]`` index of a region's object, ``NEGATIVE`` or ``IGNORED``.
            overlap: ``[B, R]`` IoU of a region with the object that it overlaps most.

        Returns:
            ``[B, R]`` bool.
        """
        ...


def random_sample(assigned: Tensor, count: int, share: float) -> Tensor:
    """Positives at random, then negatives at random to fill up; Fast R-CNN, section 2.3.

    Args and result are those of a ``Sampler``, which also knows how much the regions overlap.
    """
    quota = torch.full_like(assigned[:, 0], int(count * share))
    chosen = draw(assigned >= 0, quota, count)
    return chosen | draw(assigned == NEGATIVE, count - chosen.sum(dim=1), count)


def draw(pool: Tensor, quota: Tensor, most: int) -> Tensor:
    """At random ``quota`` ``[B]`` (none if negative, ``most`` at most) of ``pool`` ``[B, R]``."""
    key = torch.where(pool, torch.rand(pool.shape, device=pool.device), -1.0)
    key, index = key.topk(min(most, pool.shape[1]))
    place = torch.arange(key.shape[1], device=key.device)
    drawn = (key >= 0) & (place < quota.unsqueeze(1))
    return torch.zeros_like(pool).scatter(1, index, drawn)
