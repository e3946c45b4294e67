"""Anchors: their sides and ratios on every level, and their boxes on the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sobench.suite.sections import Anchors


@dataclass(frozen=True)
class AnchorSpec:
    """The anchors of a cell, for every level.

    Attributes:
        sides: for each level, finest first, the square roots of the anchors' areas in pixels.
        ratios: height over width.
        offset: where the anchors of a cell are centred: 0 is its top left corner (MMDetection 2 and
            later), .5 is its middle.
    """

    sides: tuple[tuple[float, ...], ...]
    ratios: tuple[float, ...]
    offset: float = 0.0

    @property
    def num_anchors(self) -> int:
        """Anchors per cell, the same on every level."""
        return len(self.sides[0]) * len(self.ratios)


def retinanet_anchors(settings: Anchors, strides: Sequence[int]) -> AnchorSpec:
    """Sides of ``scale * stride * 2^(o / octaves)``; RetinaNet, arXiv:1708.02002, section 4."""
    steps = [2.0 ** (octave / settings.octaves) for octave in range(settings.octaves)]
    sides = tuple(tuple(settings.scale * stride * step for step in steps) for stride in strides)
    return AnchorSpec(sides, settings.ratios)


@lru_cache(maxsize=8)  # of many sizes, if inputs vary, which must not fill the memory
@torch.inference_mode(False)  # else training could not use the anchors that detection has cached
def pyramid_anchors(
    sizes: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    anchor_spec: AnchorSpec,
    device: torch.device,
) -> Tensor:
    """Anchors level by level, row by row, ``anchor_spec.num_anchors`` per cell.

    Args:
        sizes: (height, width) of each level's map.

    Returns:
        ``[sum(h * w) * num_anchors, 4]`` float32 ``x1, y1, x2, y2`` in pixels of the input.
    """
    levels = []
    for (height, width), stride, sides in zip(sizes, strides, anchor_spec.sides, strict=True):
        # The anchors of one cell, about its origin: ratio-major and side-minor, so that they follow
        # one another as the channels of the predictions do.
        root = torch.tensor(anchor_spec.ratios, dtype=torch.float64, device=device).sqrt()
        side = torch.tensor(sides, dtype=torch.float64, device=device)
        w = (side[None, :] / root[:, None]).flatten()
        h = (side[None, :] * root[:, None]).flatten()
        cell = torch.stack((-w, -h, w, h), dim=1) / 2
        # Shifted to the centre of every cell; double precision rounds only once, at the end.
        y = (torch.arange(height, dtype=torch.float64, device=device) + anchor_spec.offset) * stride
        x = (torch.arange(width, dtype=torch.float64, device=device) + anchor_spec.offset) * stride
        y, x = torch.meshgrid(y, x, indexing="ij")
        centre = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)
        levels.append((centre + cell).reshape(-1, 4))
    return torch.cat(levels).float()


def grid_anchors(
    maps: Sequence[Tensor], strides: tuple[int, ...], anchor_spec: AnchorSpec
) -> Tensor:
    """``pyramid_anchors`` of ``[B, C, h, w]`` maps, in the order of their flattened predictions."""
    sizes = tuple((x.shape[-2], x.shape[-1]) for x in maps)
    return pyramid_anchors(sizes, strides, anchor_spec, maps[0].device)
