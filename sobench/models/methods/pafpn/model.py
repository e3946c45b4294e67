"""PAFPN: a bottom-up path behind the feature pyramid; PANet, arXiv:1803.01534, section 3.1.

The layout is MMDetection's: the path starts from the pyramid's outputs, and a last 3x3 convolution
follows every level but the finest, outside of the path. Neither has an activation; the switch
``act: relu`` puts one behind each, as the paper has it. Extra levels are those of the pyramid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from sobench.models.detector import Detector, DetectorConfig
from sobench.models.heads import build_head, head_levels
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import (
    TOP,
    ExtraLevels,
    FeaturePyramid,
    Levels,
    convolution,
    init_xavier,
)
from sobench.suite.network import Neck


class PathAggregation(nn.Module):
    """Top-down, then bottom-up: ``N_i+1 = P_i+1 + down(N_i)``, from ``N = P`` at the finest."""

    def __init__(self, backbone: Backbone, settings: Neck, levels: Levels, act: str) -> None:
        super().__init__()
        channels, steps = settings.channels, TOP - levels.first
        self.pyramid = FeaturePyramid(backbone, settings, replace(levels, last=TOP))
        self.down = nn.ModuleList(
            convolution(channels, channels, 3, settings.norm, stride=2) for _ in range(steps)
        )
        self.output = nn.ModuleList(
            convolution(channels, channels, 3, settings.norm) for _ in range(steps)
        )
        self.act = nn.ReLU() if act == "relu" else nn.Identity()
        self.extra = ExtraLevels(backbone, settings, levels)
        init_xavier(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> the levels of the head, finest first."""
        finest, *above = self.pyramid(features)
        path, outputs = finest, [finest]
        for p, down, output in zip(above, self.down, self.output, strict=True):
            path = p + self.act(down(path))
            outputs.append(self.act(output(path)))
        return self.extra(features[-1], outputs)  # type: ignore[no-any-return]


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, both paths, and the head of the suite."""
    levels = head_levels(config.head)
    neck = PathAggregation(backbone, config.neck, levels, switches["act"])
    return Detector(backbone, neck, build_head(config, levels.strides))
