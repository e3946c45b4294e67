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


FcWeights = tuple[Tensor, Tensor, Tensor, Tensor]
"""Weight and bias of fc6 as a convolution, then of fc7."""


def subsampled_fc(fc6: Tensor, bias6: Tensor, fc7: Tensor, bias7: Tensor) -> FcWeights:
    """The first two layers of VGG-16's classifier as convolutions a quarter as wide.

    Of both layers every fourth unit is kept, and of the 7x7 cells that fc6 reads every third row
    and column; DeepLab-LargeFOV, arXiv:1412.7062, section 3.1, as SSD and RefineDet use it.

    Args:
        fc6: ``[4096, 512 * 7 * 7]``; fc7: ``[4096, 4096]``; bias6, bias7: ``[4096]``.

    Returns:
        ``[1024, 512, 3, 3]``, ``[1024]``, ``[1024, 1024, 1, 1]`` and ``[1024]``.
    """
    kernels = fc6.reshape(-1, 512, 7, 7)[::4, :, ::3, ::3]
    weights = (kernels, bias6[::4], fc7[::4, ::4, None, None], bias7[::4])
    return tuple(weight.clone() for weight in weights)  # type: ignore[return-value]


def load_fc(layers: nn.Sequential, weights: FcWeights) -> None:
    """Give the weights of ``subsampled_fc`` to layers with those of ``convolutional_fc``."""
    with torch.no_grad():
        for parameter, weight in zip(layers.parameters(), weights, strict=True):
            parameter.copy_(weight)


def convolutional_fc(dilation: int) -> nn.Sequential:
    """fc6 and fc7 as convolutions, 512 channels to 1024; DeepLab-LargeFOV, arXiv:1412.7062."""
    return nn.Sequential(
        nn.Conv2d(512, 1024, 3, padding=dilation, dilation=dilation),
        nn.ReLU(inplace=True),
        nn.Conv2d(1024, 1024, 1),
        nn.ReLU(inplace=True),
    )
