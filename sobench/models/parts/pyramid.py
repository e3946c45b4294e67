"""The feature pyramid, and the modules that several necks share."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sobench.models.parts.backbone import Backbone
from sobench.suite.network import Neck

TOP = 5
"""The backbone's last level; the levels above it are extra ones."""


@dataclass(frozen=True)
class Levels:
    """The pyramid levels of a head; level ``l`` has stride ``2^l``.

    Attributes:
        extra: how the levels above the backbone's are made: by a 3x3 ``convolution`` of stride 2,
            the first on C5 (RetinaNet), or by ``subsample``, every second cell of the level below
            (FPN).
    """

    first: int
    last: int
    extra: Literal["convolution", "subsample"]

    @property
    def strides(self) -> tuple[int, ...]:
        """Finest first."""
        return tuple(2**level for level in range(self.first, self.last + 1))

    @property
    def of_backbone(self) -> slice:
        """Those of C2..C5 that the pyramid is built on."""
        return slice(self.first - 2, TOP - 1)


def convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    norm: str,
    stride: int = 1,
    padding: int | None = None,
) -> nn.Conv2d | nn.Sequential:
    """A convolution followed by a norm.

    Args:
        norm: ``none``, which gives the convolution a bias, ``group`` or ``batch``.
        padding: by default half the kernel, with which a stride of 1 keeps the map's size.
    """
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=norm == "none")
    return conv if norm == "none" else nn.Sequential(conv, norm_layer(outputs, norm))


def norm_layer(channels: int, norm: str) -> nn.Module:
    """Group or batch normalisation of a map.

    Groups have eight channels, as in the 32 groups of 256 channels (arXiv:1803.08494), or more if
    eight do not divide the channels evenly.

    Args:
        norm: ``group`` or ``batch``.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(gcd(channels, max(1, channels // 8)), channels)


def batch_unless_group(norm: str) -> str:
    """The norm of a layer whose paper has batch normalisation, which only ``group`` replaces."""
    return "batch" if norm == "none" else norm


def upsampled(x: Tensor, like: Tensor) -> Tensor:
    """``x`` resized by nearest neighbour to the height and width of ``like``."""
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")


def init_xavier(module: nn.Module) -> None:
    """Xavier uniform weights and zero biases for every convolution in ``module``."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.xavier_uniform_(conv.weight)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)


class Laterals(nn.ModuleList):
    """A 1x1 convolution for each level of the backbone; FPN, arXiv:1612.03144, section 3."""

    def __init__(self, backbone: Backbone, channels: int, norm: str, levels: Levels) -> None:
        inputs = backbone.channels[levels.of_backbone]
        super().__init__(convolution(c, channels, 1, norm) for c in inputs)
        self.chosen = levels.of_backbone

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> maps of equal channels, finest first."""
        return [conv(x) for conv, x in zip(self, features[self.chosen], strict=True)]


class ExtraLevels(nn.Module):
    """The levels above the backbone's, without an activation between them.

    RetinaNet, arXiv:1708.02002, has a ReLU before P7. MMDetection's models have none, and their
    published parameter and multiply-add counts are reproduced without it.
    """

    def __init__(self, backbone: Backbone, settings: Neck, levels: Levels) -> None:
        super().__init__()
        self.count = levels.last - TOP
        channels = settings.channels
        inputs = [backbone.channels[-1], *[channels] * self.count][: self.count]
        convs = inputs if levels.extra == "convolution" else []
        self.convs = nn.ModuleList(
            convolution(c, channels, 3, settings.norm, stride=2) for c in convs
        )

    def forward(self, top: Tensor, pyramid: list[Tensor]) -> list[Tensor]:
        """C5 and the pyramid so far -> the whole pyramid."""
        pyramid = list(pyramid)
        if not self.convs:
            for _ in range(self.count):
                pyramid.append(F.max_pool2d(pyramid[-1], 1, stride=2))
        for conv in self.convs:
            top = conv(top)
            pyramid.append(top)
        return pyramid


class FeaturePyramid(nn.Module):
    """Top-down pyramid; FPN, arXiv:1612.03144, section 3.

    Laterals are 1x1 convolutions, the top-down path upsamples by nearest neighbour and adds, and
    the outputs are 3x3 convolutions. All have a bias (or the suite's norm), no activation, and
    Xavier uniform weights.

    Args:
        fuse: false leaves out the top-down sum.
    """

    def __init__(
        self, backbone: Backbone, settings: Neck, levels: Levels, fuse: bool = True
    ) -> None:
        super().__init__()
        self.fuse = fuse
        channels = settings.channels
        self.lateral = Laterals(backbone, channels, settings.norm, levels)
        self.output = nn.ModuleList(
            convolution(channels, channels, 3, settings.norm) for _ in self.lateral
        )
        self.extra = ExtraLevels(backbone, settings, levels)
        init_xavier(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> the levels of the head, finest first."""
        return self.levels(self.fused(features), features[-1])

    def fused(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> the top-down sums, before their 3x3 convolutions."""
        inner: list[Tensor] = self.lateral(features)
        if self.fuse:
            for i in range(len(inner) - 1, 0, -1):
                inner[i - 1] = inner[i - 1] + upsampled(inner[i], inner[i - 1])
        return inner

    def levels(self, inner: list[Tensor], top: Tensor) -> list[Tensor]:
        """The top-down sums and C5 -> the levels of the head, finest first."""
        pyramid = [conv(x) for conv, x in zip(self.output, inner, strict=True)]
        return self.extra(top, pyramid)  # type: ignore[no-any-return]
