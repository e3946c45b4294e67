"""Random boxes, and anchors of a small pyramid."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.models.parts.anchors import pyramid_anchors, suite_anchors
from sobench.suite.network import Anchors

Boxes = list[tuple[float, float, float, float]]


def random_boxes(*shape: int, seed: int, extent: float = 200.0, side: float = 40.0) -> Tensor:
    """``[*shape, 4]`` boxes within ``extent``, with sides of 1 to ``side`` pixels."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(*shape, 2, generator=generator) * (extent - side)
    size = 1 + torch.rand(*shape, 2, generator=generator) * (side - 1)
    return torch.cat((corner, corner + size), dim=-1)


def octave_anchors(
    sizes: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    smallest: float,
    octaves: int,
    ratios: tuple[float, ...],
) -> Tensor:
    """``[A, 4]`` anchors on the CPU, from the settings of a suite."""
    settings = Anchors(smallest=smallest, octaves=octaves, ratios=ratios)
    return pyramid_anchors(
        sizes, strides, suite_anchors(settings, len(strides)), torch.device("cpu")
    )
