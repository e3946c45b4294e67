"""The feature pyramid that several necks start from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sobench.models.backbone import Backbone
from sobench.settings import Neck


def convolution(
    inputs: int, outputs: int, kernel: int, norm: str, stride: int = 1
) -> nn.Conv2d | nn.Sequential:
    """A convolution that keeps the map's size, with the suite's norm behind it.

    Args:
        norm: ``none``, which gives the convolution a bias, or ``group``: GroupNorm, eight channels
            to a group as in the 32 groups of 256 channels (arXiv:1803.08494).
    """
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=norm == "none")
    return conv if norm == "none" else nn.Sequential(conv, nn.GroupNorm(outputs // 8, outputs))


class FeaturePyramid(nn.Module):
    """Top-down pyramid; FPN, arXiv:1612.03144, section 3.

    Laterals are 1x1, the top-down path upsamples by nearest neighbour and adds, the outputs are
    3x3; all with bias (or the suite's norm), without activation, Xavier uniform. Above the
    backbone, further levels are 3x3 convolutions of stride 2, the first on C5, without an
    activation between them. (RetinaNet, arXiv:1708.02002, has a ReLU before P7; without it the
    published parameter and multiply-add counts of MMDetection's models come out.)

    Attributes:
        strides: of the levels, finest first.
    """

    def __init__(
        self,
        backbone: Backbone,
        settings: Neck,
        first: int = 3,
        last: int = 7,
        fuse: bool = True,
    ) -> None:
        super().__init__()
        self.first = first
        self.fuse = fuse
        channels = settings.channels
        self.strides = tuple(2**level for level in range(first, last + 1))
        inputs = backbone.channels[first - 2 :]
        self.lateral = nn.ModuleList(convolution(c, channels, 1, settings.norm) for c in inputs)
        self.output = nn.ModuleList(
            convolution(channels, channels, 3, settings.norm) for _ in inputs
        )
        self.extra = nn.ModuleList(
            convolution(
                inputs[-1] if level == 6 else channels, channels, 3, settings.norm, stride=2
            )
            for level in range(6, last + 1)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> P_first..P_last."""
        inner = [conv(x) for conv, x in zip(self.lateral, features[self.first - 2 :], strict=True)]
        if self.fuse:
            for i in range(len(inner) - 1, 0, -1):
                up = F.interpolate(inner[i], size=inner[i - 1].shape[-2:], mode="nearest")
                inner[i - 1] = inner[i - 1] + up
        pyramid = [conv(x) for conv, x in zip(self.output, inner, strict=True)]
        x = features[-1]
        for conv in self.extra:
            x = conv(x)
            pyramid.append(x)
        return pyramid
