"""Maps of a few cells and convolutions set by hand, for results worked out on paper."""

from __future__ import annotations

from math import exp

import torch
from torch import Tensor, nn

from sobench.models.parts.pyramid import Levels
from sobench.suite.network import Neck

RETINANET = Levels(3, 7, "convolution")


FASTER_RCNN = Levels(2, 6, "subsample")


ONE_CHANNEL = Neck.model_construct(channels=1, norm="none")


class FourMaps(nn.Module):
    """Stands for a backbone of one channel a map."""

    channels = (1, 1, 1, 1)


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def row(*values: float) -> Tensor:
    """A map of one channel and one row."""
    return torch.tensor(values, dtype=torch.float32)[None, None, None]


def plane(*rows: list[float]) -> Tensor:
    """A map of one channel."""
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def centre(conv: nn.Module, weight: float, bias: float = 0.0) -> None:
    """Let a convolution multiply every cell by ``weight``, whatever lies around it."""
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[:, :, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = weight
        if conv.bias is not None:
            conv.bias.fill_(bias)


def shift(norm: nn.Module, bias: float) -> None:
    """Let a norm add something, so that its place is seen."""
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.constant_(norm.bias, bias)


def pass_on(module: nn.Module) -> None:
    """Let every convolution pass its input on, and every norm leave it alone."""
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            centre(part, 1.0)
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.0
