"""Anchors: their sides and ratios on every level, and their boxes on the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import torch
from torch import Tensor

from sobench.data.dataset import FloatArray
from sobench.models.parts.clusters import cluster_anchors
from sobench.suite.network import Anchors

Shape = tuple[float, float]
"""Width and height of an anchor in pixels of the input."""


@dataclass(frozen=True)
class AnchorSpec:
    """The anchors of a cell, for every level: all pairs of a side and a ratio.

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

    @property
    def shapes(self) -> tuple[tuple[Shape, ...], ...]:
        """The anchors of each level, ratio by ratio, as the predictions' channels follow."""
        roots = [sqrt(ratio) for ratio in self.ratios]
        return tuple(
            tuple((side / root, side * root) for root in roots for side in sides)
            for sides in self.sides
        )


@dataclass(frozen=True)
class DefaultBoxes:
    """The anchors of a cell where their number differs from level to level, as in SSD.

    Attributes:
        shapes: of each level, finest first.
        offset: as of ``AnchorSpec``.
    """

    shapes: tuple[tuple[Shape, ...], ...]
    offset: float = 0.5


@dataclass(frozen=True)
class AnchorLevel:
    """The anchors of a level: one of each shape around every cell of its map.

    Attributes:
        stride: pixels of the input from cell to cell.
        offset: as of ``AnchorSpec``.
    """

    stride: float
    shapes: tuple[Shape, ...]
    offset: float


def anchor_levels(
    strides: Sequence[int], anchor_spec: AnchorSpec | DefaultBoxes
) -> tuple[AnchorLevel, ...]:
    """The levels of a head's anchors, finest first."""
    pairs = zip(strides, anchor_spec.shapes, strict=True)
    return tuple(AnchorLevel(stride, shapes, anchor_spec.offset) for stride, shapes in pairs)


def suite_anchors(settings: Anchors, levels: int, finer: int = 0) -> AnchorSpec:
    """Sides of ``smallest * 2^(level + o / octaves)`` px; RetinaNet, arXiv:1708.02002, section 4.

    Args:
        settings: with numbers in place of ``fit``; see ``fitted_anchors``.
        levels: of the pyramid, from the one that has the suite's smallest anchors.
        finer: further levels below that one, each with sides of half of those above.
    """
    steps = [2.0 ** (octave / settings.octaves) for octave in range(settings.octaves)]
    firsts = [settings.smallest * 2.0**level for level in range(-finer, levels)]
    return AnchorSpec(tuple(tuple(f * step for step in steps) for f in firsts), settings.ratios)


LEAST_STRIDES = 1.5
"""Side of the smallest fitted anchor in strides: smaller ones lie too far apart to meet objects of
their size, wherever these are. (On VisDrone at 512x512 and stride 8, a smallest side of 6 px meets
.31 of the objects, 12 px .55 and 24 px .31.)"""


def fitted_anchors(settings: Anchors, box_wh: FloatArray | None, stride: int) -> Anchors:
    """The settings, with ``smallest`` and ``ratios`` from the training boxes if they ask for it.

    Args:
        stride: of the finest level of the suite's head, in pixels.
        box_wh: ``[N, 2]`` width and height in pixels of the input; ``None`` if no data are at hand,
            when the defaults stand in.
    """
    if not settings.fit or box_wh is None:
        return settings
    sides, ratios = cluster_anchors(box_wh)
    smallest = max(sides[0], LEAST_STRIDES * stride)
    return settings.model_copy(update={"smallest": smallest, "ratios": ratios})


@lru_cache(maxsize=8)  # of many sizes, if inputs vary, which must not fill the memory
@torch.inference_mode(False)  # else training could not use the anchors that detection has cached
def pyramid_anchors(
    sizes: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    anchor_spec: AnchorSpec | DefaultBoxes,
    device: torch.device,
) -> Tensor:
    """Anchors level by level, row by row, those of a cell in the order of ``anchor_spec``.

    Args:
        sizes: (height, width) of each level's map.

    Returns:
        ``[A, 4]`` float32 ``x1, y1, x2, y2`` in pixels of the input.
    """
    levels = []
    for (height, width), stride, shapes in zip(sizes, strides, anchor_spec.shapes, strict=True):
        # The anchors of one cell, about its origin.
        w, h = torch.tensor(shapes, dtype=torch.float64, device=device).unbind(1)
        cell = torch.stack((-w, -h, w, h), dim=1) / 2
        # Shifted to the centre of every cell; double precision rounds only once, at the end.
        y = (torch.arange(height, dtype=torch.float64, device=device) + anchor_spec.offset) * stride
        x = (torch.arange(width, dtype=torch.float64, device=device) + anchor_spec.offset) * stride
        y, x = torch.meshgrid(y, x, indexing="ij")
        centre = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)
        levels.append((centre + cell).reshape(-1, 4))
    return torch.cat(levels).float()


def grid_anchors(
    maps: Sequence[Tensor], strides: tuple[int, ...], anchor_spec: AnchorSpec | DefaultBoxes
) -> Tensor:
    """``pyramid_anchors`` of ``[B, C, h, w]`` maps, in the order of their flattened predictions."""
    sizes = tuple((x.shape[-2], x.shape[-1]) for x in maps)
    return pyramid_anchors(sizes, strides, anchor_spec, maps[0].device)
