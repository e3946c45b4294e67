"""NAS-FPN: a pyramid found by architecture search, arXiv:1904.07392, Figure 6.

The cell and its repetition are the paper's. Input levels come from 1x1 convolutions with batch
normalisation; a level above the backbone's is the one below it behind another 1x1 convolution and
max-pooling by 2, as in MMDetection. The paper's five levels are P3 to P7; under a head that reads
P2 to P6 the same cell works one level lower, which is ours.

The paper's text leaves the attention's pooling open: mean is the default, and ``pool: max`` is that
of the authors' code. ``separate_bn`` gives RetinaNet's towers separate batch normalisation for each
level, as in the paper's training; the suite's towers are the default. Maps that do not halve evenly
are resized to their neighbour's size; where the paper's condition holds (an input that is a
multiple of 128), that is the paper's pooling and nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from sobench.models.detector import Detector, DetectorConfig, HeadOptions
from sobench.models.heads import build_head, head_levels
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import (
    TOP,
    Laterals,
    Levels,
    batch_unless_group,
    convolution,
    init_xavier,
)
from sobench.suite.network import Neck


def resized(x: Tensor, like: Tensor) -> Tensor:
    """``x`` at the size of ``like``: nearest neighbour upwards, max-pooling downwards."""
    size = like.shape[-2:]
    if x.shape[-2:] == size:
        return x
    if x.shape[-1] < size[-1]:
        return F.interpolate(x, size=size, mode="nearest")
    return F.adaptive_max_pool2d(x, list(size))


class Merge(nn.Module):
    """Two levels into one.

    Args:
        norm: ``batch``, as in the paper, or ``group``.
        convolves: ``ReLU-Conv-BN`` follows the combination; else this is passed on as it is.
    """

    def __init__(self, channels: int, norm: str, convolves: bool = True) -> None:
        super().__init__()
        self.output: nn.Module = nn.Identity()
        if convolves:
            self.output = nn.Sequential(nn.ReLU(), convolution(channels, channels, 3, norm))

    def forward(self, x: Tensor, y: Tensor, like: Tensor) -> Tensor:
        """Both at the size of ``like``, combined and convolved."""
        merged: Tensor = self.output(self.combine(resized(x, like), resized(y, like)))
        return merged

    def combine(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of both."""
        return x + y


class GlobalPooling(Merge):
    """``GP(x, y) = y + sigmoid(pool(y)) * x``: ``y`` weighs the channels of ``x``."""

    def __init__(self, channels: int, norm: str, pool: str, convolves: bool = True) -> None:
        super().__init__(channels, norm, convolves)
        self.pool = F.adaptive_avg_pool2d if pool == "mean" else F.adaptive_max_pool2d

    def combine(self, x: Tensor, y: Tensor) -> Tensor:
        """``y`` plus the weighted ``x``."""
        weighted: Tensor = y + self.pool(y, 1).sigmoid() * x
        return weighted


class Cell(nn.Module):
    """The seven merges of the paper's best architecture, over five levels."""

    def __init__(self, channels: int, norm: str, pool: str) -> None:
        super().__init__()
        self.gp_64_4 = GlobalPooling(channels, norm, pool)
        self.sum_44_4 = Merge(channels, norm)
        self.sum_43_3 = Merge(channels, norm)
        self.sum_34_4 = Merge(channels, norm)
        self.gp_43_5 = GlobalPooling(channels, norm, pool, convolves=False)
        self.sum_55_5 = Merge(channels, norm)
        self.gp_54_7 = GlobalPooling(channels, norm, pool, convolves=False)
        self.sum_77_7 = Merge(channels, norm)
        self.gp_75_6 = GlobalPooling(channels, norm, pool)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """Five levels -> five of the same sizes; called P3..P7 as in the paper."""
        p3, p4, p5, p6, p7 = pyramid
        first = self.gp_64_4(p6, p4, like=p4)
        inner = self.sum_44_4(first, p4, like=p4)
        out3 = self.sum_43_3(inner, p3, like=p3)
        out4 = self.sum_34_4(out3, inner, like=p4)
        out5 = self.sum_55_5(p5, self.gp_43_5(out4, out3, like=p5), like=p5)
        out7 = self.sum_77_7(p7, self.gp_54_7(out5, inner, like=p7), like=p7)
        out6 = self.gp_75_6(out7, out5, like=p6)
        return [out3, out4, out5, out6, out7]


class SearchedPyramid(nn.Module):
    """Five input levels, and a stack of cells."""

    def __init__(
        self, backbone: Backbone, settings: Neck, levels: Levels, stack: int, pool: str
    ) -> None:
        super().__init__()
        channels, norm = settings.channels, batch_unless_group(settings.norm)
        self.lateral = Laterals(backbone, channels, norm, levels)
        self.above = nn.ModuleList(
            convolution(channels, channels, 1, norm) for _ in range(TOP, levels.last)
        )
        self.cells = nn.ModuleList(Cell(channels, norm, pool) for _ in range(stack))
        init_xavier(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> the levels of the head, finest first."""
        pyramid: list[Tensor] = self.lateral(features)
        for conv in self.above:
            pyramid.append(F.max_pool2d(conv(pyramid[-1]), 2, ceil_mode=True))
        for cell in self.cells:
            pyramid = cell(pyramid)
        return pyramid


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, stacked cells, and the head of the suite."""
    levels = head_levels(config.head)
    neck = SearchedPyramid(backbone, config.neck, levels, int(switches["stack"]), switches["pool"])
    options = HeadOptions(level_norm=bool(switches["separate_bn"]))
    return Detector(backbone, neck, build_head(config, levels.strides, options))
