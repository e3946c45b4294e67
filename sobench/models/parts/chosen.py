"""Work on a number of places that depends on values, without waiting for a GPU to tell it.

A CPU takes exactly the places that are chosen. On a GPU that number is known only when all work
before it is done, and until then nothing more could be launched. There, every image gets the same
number of places, of which some are padding that no loss counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def has_fixed_sizes(device: torch.device) -> bool:
    """Whether work on this device is padded to sizes that do not depend on values."""
    return device.type == "cuda"


@dataclass(frozen=True)
class Chosen:
    """``N`` of the ``R`` places of each of ``B`` images, image by image, in the order of places.

    Attributes:
        shape: ``(B, R)``.
        index: ``[N]`` int64 in ``0..B*R-1``, each at most once.
        real: ``[N]`` bool, false for padding.
    """

    shape: tuple[int, int]
    index: Tensor
    real: Tensor

    @property
    def image(self) -> Tensor:
        """``[N]`` int64, the image of each place in the batch."""
        return self.index.div(self.shape[1], rounding_mode="floor")

    def take(self, values: Tensor) -> Tensor:
        """``[B, R, ...]`` -> ``[N, ...]``; arbitrary for padding."""
        return values.flatten(0, 1)[self.index]

    def put(self, values: Tensor) -> Tensor:
        """``[N, ...]`` -> ``[B, R, ...]``, 0 where nothing is chosen."""
        real = self.real.view(-1, *[1] * (values.dim() - 1))
        values = torch.where(real, values, torch.zeros_like(values))
        whole = values.new_zeros(self.shape[0] * self.shape[1], *values.shape[1:])
        return whole.index_copy(0, self.index, values).view(*self.shape, *values.shape[1:])


def choose(mask: Tensor, most: int) -> Chosen:
    """The places where ``mask`` ``[B, R]`` is true.

    Args:
        most: of an image. Where sizes are fixed, every image has so many places, or ``R`` if that
            is less.
    """
    batch, places = mask.shape
    if not has_fixed_sizes(mask.device):
        index = mask.flatten().nonzero().squeeze(1)
        return Chosen((batch, places), index, torch.ones_like(index, dtype=torch.bool))
    # The chosen places first, then the others as padding, both in their order.
    order = torch.arange(places, 0, -1, device=mask.device)
    place = (order + places * mask).topk(min(most, places)).indices
    first = torch.arange(0, batch * places, places, device=mask.device)
    index = (place + first.unsqueeze(1)).flatten()
    return Chosen((batch, places), index, mask.flatten()[index])
