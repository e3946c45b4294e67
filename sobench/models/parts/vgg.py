"""Layers that detectors on VGG-16 share behind its convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class L2Norm(nn.Module):
    """Channel-wise L2 normalisation with a learnt scale; ParseNet, arXiv:1506.04579, Eq. 3."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` -> float32 of the same shape: unit length over channels, scaled."""
        return F.normalize(x.float(), dim=1) * self.scale.view(1, -1, 1, 1)


def convolutional_fc(dilation: int) -> nn.Sequential:
    """fc6 and fc7 as convolutions, 512 channels to 1024; DeepLab-LargeFOV, arXiv:1412.7062."""
    return nn.Sequential(
        nn.Conv2d(512, 1024, 3, padding=dilation, dilation=dilation),
        nn.ReLU(inplace=True),
        nn.Conv2d(1024, 1024, 1),
        nn.ReLU(inplace=True),
    )
