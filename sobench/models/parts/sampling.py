"""Batched random samplers: which anchors or regions a stage trains on."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sobench.models.parts.matching import NEGATIVE
from sobench.models.parts.whole_batch import whole_rand


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
    positives = draw(matches >= 0, quota, num_samples)
    # Where positives are few, negatives take their places.
    quota = num_samples - positives.sum(dim=1)
    return positives | draw(matches == NEGATIVE, quota, num_samples)


def draw(pool: Tensor, quota: Tensor, most: int) -> Tensor:
    """Choose ``quota`` ``[B]`` places of ``pool`` ``[B, R]`` bool at random, ``most`` at most.

    A negative quota chooses none, and a pool that is smaller than its quota is chosen whole.
    """
    key = torch.where(pool, whole_rand(pool.shape, pool.device), -1.0)
    key, index = key.topk(min(most, pool.shape[1]))
    place = torch.arange(key.shape[1], device=key.device)
    drawn = (key >= 0) & (place < quota.unsqueeze(1))
    return torch.zeros_like(pool).scatter(1, index, drawn)
