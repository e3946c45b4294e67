"""TA-FPN: two-layer attention and small-object detail enhancement; CMES 141(1), 2024.

The two modules and their equations (1 to 8) are the paper's. Where it is silent, these are ours:
the levels are laterals of equal channels, so that they can be summed; the attention reads the
enhanced level above (``tam_input: lateral`` reads that level's lateral); all attention convolutions
keep their channels (``reduction: 4`` narrows them, as in the local attention's ancestor,
arXiv:2009.14082); those of the residual attention are 3x3; the levels share no weights; upsampling
is by nearest neighbour.

C2 is the backbone's raw map; max-pooling brings it to a level's size as the last step of Eq. 6
(``downsample: avg|nearest`` for other ways). The residual of Eq. 6 needs C2 to have the pyramid's
channels, as it has with 256 on ResNet-50; otherwise C2 first passes a 1x1 convolution. The 3x3
convolution of Eq. 8 replaces FPN's output convolution, which a level without enhancement keeps. The
levels above C5 are those of the head. With both modules off this is FPN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from sobench.models.detector import Detector, DetectorConfig
from sobench.models.heads import build_head, head_levels
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import (
    TOP,
    ExtraLevels,
    Laterals,
    Levels,
    batch_unless_group,
    convolution,
    init_xavier,
    upsampled,
)
from sobench.suite.network import Neck


def _two_convolutions(channels: int, kernel: int, norm: str, reduction: int = 1) -> nn.Sequential:
    """``B(Conv2(R(B(Conv1(x)))))`` of Eq. 2, 4 and 6."""
    middle, norm = channels // reduction, batch_unless_group(norm)
    return nn.Sequential(
        convolution(channels, middle, kernel, norm),
        nn.ReLU(),
        convolution(middle, channels, kernel, norm),
    )


class TwoLayerAttention(nn.Module):
    """TAM: brings the semantics of a level to the one below it; section 3.2.

    Args:
        norm: the suite's; ``none`` becomes batch normalisation.
        dilations: of the 3x3 convolutions that Eq. 1 sums.
        reduction: of the channels between the two convolutions of an attention.
    """

    def __init__(
        self, channels: int, norm: str, dilations: tuple[int, ...], reduction: int
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate) for rate in dilations
        )
        self.residual_attention = _two_convolutions(channels, 3, norm, reduction)
        self.local_attention = _two_convolutions(channels, 1, norm, reduction)

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        """``C_i`` ``[B, C, h, w]``, ``C_i-1`` ``[B, C, 2h, 2w]`` -> ``F_i-1``, like ``C_i-1``."""
        semantic = sum(branch(upper) for branch in self.branches)  # Eq. 1
        attention = (semantic + self.residual_attention(semantic)).sigmoid()  # Eq. 2
        enhanced = attention * semantic  # Eq. 3
        fused = lower + upsampled(enhanced, lower)
        focused: Tensor = self.local_attention(fused).sigmoid() * fused  # Eq. 4 and 5
        return focused


class DetailEnhancement(nn.Module):
    """SODEM: brings the texture of C2 to a level; section 3.3.

    Args:
        inputs: channels of C2.
    """

    def __init__(self, inputs: int, channels: int, norm: str, downsample: str) -> None:
        super().__init__()
        self.adapt: nn.Module = nn.Identity()
        if inputs != channels:
            self.adapt = convolution(inputs, channels, 1, norm)
        self.texture = _two_convolutions(channels, 1, norm)
        self.downsample = _DOWNSAMPLE[downsample]
        self.output = convolution(channels, channels, 3, norm)

    def forward(self, c2: Tensor, level: Tensor) -> Tensor:
        """``[B, C2, H, W]`` and ``F_i`` ``[B, C, h, w]`` -> ``P_i``, like ``F_i``."""
        c2 = self.adapt(c2)
        details = self.texture(c2) + c2  # Eq. 6
        if details.shape[-2:] != level.shape[-2:]:
            details = self.downsample(details, level.shape[-2:])
        enhanced: Tensor = self.output(details + level) + level  # Eq. 7 and 8
        return enhanced


_DOWNSAMPLE: dict[str, Callable[..., Tensor]] = {
    "max": F.adaptive_max_pool2d,
    "avg": F.adaptive_avg_pool2d,
    "nearest": F.interpolate,
}
"""Each function takes a map and a height and width."""


class TwoLayerAttentionPyramid(nn.Module):
    """Laterals, attention in the top-down path, detail enhancement of the outputs.

    Args:
        dilations: ``None`` leaves the attention out: the top-down path then adds, as FPN does.
        enhanced: pyramid levels with detail enhancement.
        cascade: the attention reads the enhanced level above, not that level's lateral.
        reduction: of the channels inside the attentions.
        downsample: how C2 is brought to the size of a level, ``max``, ``avg`` or ``nearest``.
    """

    def __init__(
        self,
        backbone: Backbone,
        settings: Neck,
        levels: Levels,
        *,
        dilations: tuple[int, ...] | None,
        enhanced: frozenset[int],
        cascade: bool,
        reduction: int,
        downsample: str,
    ) -> None:
        super().__init__()
        channels, norm = settings.channels, settings.norm
        self.cascade = cascade
        self.lateral = Laterals(backbone, channels, norm, levels)
        steps = 0 if dilations is None else len(self.lateral) - 1
        self.attention = nn.ModuleList(
            TwoLayerAttention(channels, norm, dilations or (), reduction) for _ in range(steps)
        )
        self.output = nn.ModuleList(
            DetailEnhancement(backbone.channels[0], channels, norm, downsample)
            if level in enhanced
            else convolution(channels, channels, 3, norm)
            for level in range(levels.first, TOP + 1)
        )
        self.extra = ExtraLevels(backbone, settings, levels)
        init_xavier(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> the levels of the head, finest first."""
        pyramid = []
        for output, level in zip(self.output, self.top_down(self.lateral(features)), strict=True):
            enhances = isinstance(output, DetailEnhancement)
            pyramid.append(output(features[0], level) if enhances else output(level))
        return self.extra(features[-1], pyramid)  # type: ignore[no-any-return]

    def top_down(self, laterals: list[Tensor]) -> list[Tensor]:
        """``C_i`` -> ``F_i``; the highest level is its lateral."""
        inner = list(laterals)
        for i in range(len(inner) - 1, 0, -1):
            upper = inner[i] if self.cascade else laterals[i]
            if self.attention:
                inner[i - 1] = self.attention[i - 1](upper, inner[i - 1])
            else:
                inner[i - 1] = inner[i - 1] + upsampled(inner[i], inner[i - 1])
        return inner


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, pyramid with the chosen modules, and the head of the suite."""
    levels = head_levels(config.head)
    neck = TwoLayerAttentionPyramid(
        backbone,
        config.neck,
        levels,
        dilations=_numbers(switches["dilations"]) if switches["tam"] else None,
        enhanced=frozenset(_numbers(switches["levels"]) if switches["sodem"] else ()),
        cascade=switches["tam_input"] == "cascade",
        reduction=int(switches["reduction"]),
        downsample=switches["downsample"],
    )
    return Detector(backbone, neck, build_head(config, levels.strides))


def _numbers(text: str) -> tuple[int, ...]:
    """``"1-3-5"`` -> ``(1, 3, 5)``."""
    return tuple(map(int, text.split("-")))
