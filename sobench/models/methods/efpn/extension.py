"""A pyramid level below the lowest, by super-resolution of features; EFPN, arXiv:2003.07021.

``f`` is the pyramid's lowest level: 2 in the paper, whose ``P_3'`` is called ``P_f+1'`` here. Four
modules can make that map: ``FeatureTextureTransfer``, ``AuthorsTransfer``, ``Espcn``, ``Nearest``.
The residual blocks end in a ReLU, as in the authors' code. The transfer is as wide as the pyramid
and has no norm; both are ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sobench.models.parts.pyramid import init_xavier, norm_layer, upsampled
from sobench.suite.network import Neck


def _conv3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv3(channels, channels)
        self.second = _conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` -> the same shape."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class SubPixel(nn.Module):
    """Twice the height and width from four times the channels; Eq. 4.

    The order of the channels is torch's, a permutation of the paper's: pixel ``(y, x)`` of channel
    ``c`` is read from channel ``4c + 2 (y mod 2) + x mod 2``.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _conv3(inputs, 4 * outputs)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """``[B, C, h, w]`` -> ``[B, outputs, 2h, 2w]``, cropped where ``like`` has an odd side."""
        height, width = like.shape[-2:]
        shuffled = F.pixel_shuffle(self.conv(x), 2)[..., :height, :width]
        # On CUDA the shuffle loses the channels-last layout that the convolutions need.
        return shuffled.contiguous(memory_format=torch.channels_last)


class FeatureTextureTransfer(nn.Module):
    """Content of the upper map, texture of the lower one; Eq. 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.content = nn.Sequential(ResidualBlock(channels), ResidualBlock(channels))
        self.enlarge = SubPixel(channels, channels)
        self.texture = nn.Sequential(
            _conv3(2 * channels, channels), ResidualBlock(channels), ResidualBlock(channels)
        )

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        """``P_f+1`` ``[B, C, h, w]``, ``P_f`` ``[B, C, 2h, 2w]`` -> ``P_f+1'``, like ``P_f``."""
        content = self.enlarge(self.content(upper), lower)
        transferred: Tensor = self.texture(torch.cat((lower, content), dim=1)) + content
        return transferred


class AuthorsTransfer(nn.Module):
    """The transfer of the authors' code, of twice the channels; arguments and result as above."""

    slope = 0.1

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = 2 * channels
        self.head = _conv3(channels, width)
        self.content = ResidualBlock(width)
        self.enlarge = SubPixel(width, width)
        self.texture = nn.Sequential(
            _conv3(channels + width, width),
            nn.LeakyReLU(self.slope),
            ResidualBlock(width),
            ResidualBlock(width),
        )
        self.tail = nn.Sequential(
            _conv3(width, width), nn.LeakyReLU(self.slope), _conv3(width, channels)
        )

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        """The upsampled upper map, with a learnt residual added to it."""
        hidden = F.leaky_relu(self.head(upper), self.slope)
        content = self.enlarge(self.content(hidden) + hidden, lower)
        content = F.leaky_relu(content, self.slope)
        texture = self.texture(torch.cat((lower, content), dim=1))
        transferred: Tensor = self.tail(texture + content)
        return transferred + upsampled(upper, lower)


class Espcn(nn.Module):
    """Super-resolution of the upper map alone, in three layers; arXiv:1609.05158, section 3.2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2), nn.Tanh(), _conv3(64, 32), nn.Tanh()
        )
        self.enlarge = SubPixel(32, channels)

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        """As in ``FeatureTextureTransfer``; only the size of ``lower`` matters."""
        enlarged: Tensor = self.enlarge(self.layers(upper), lower)
        return enlarged


class Nearest(nn.Module):
    """The upper map by nearest neighbour, as in any pyramid; Table III, "w/o FTT"."""

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        """As in ``Espcn``."""
        return upsampled(upper, lower)


class Extension(nn.Module):
    """The level below the pyramid; Eq. 1.

    Args:
        inputs: channels of ``C_f'``.
        transfer: makes ``P_f+1'`` from ``P_f+1`` and ``P_f``.
        plain_sum: the sum of Eq. 1 as it is printed; otherwise, as in the authors' code, a 1x1
            convolution of ``C_f'`` comes before it and a 3x3 one after it.

    Raises:
        ValueError: the sum is plain, and ``C_f'`` has not the channels of the pyramid.
    """

    def __init__(
        self, inputs: int, settings: Neck, transfer: nn.Module, plain_sum: bool = False
    ) -> None:
        super().__init__()
        channels, norm = settings.channels, settings.norm
        if plain_sum and inputs != channels:
            raise ValueError(f"a map of {inputs} channels cannot be added to one of {channels}")
        self.transfer = transfer
        self.lateral: nn.Module = nn.Identity()
        self.output: nn.Module = nn.Identity()
        if not plain_sum:
            lateral = nn.Conv2d(inputs, channels, 1, bias=False)
            output = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.lateral = _without_bias(lateral, norm)
            self.output = _without_bias(output, norm)
        init_xavier(self)

    def forward(self, upper: Tensor, lower: Tensor, finer: Tensor) -> tuple[Tensor, Tensor]:
        """``P_f+1``, ``P_f`` and ``C_f'``, each of twice the size -> ``P_f'`` and ``P_f+1'``.

        The first has the size of ``C_f'``, the second that of ``P_f``.
        """
        transferred = self.transfer(upper, lower)
        finest = self.output(upsampled(transferred, finer) + self.lateral(finer))
        return finest, transferred


def _without_bias(conv: nn.Conv2d, norm: str) -> nn.Module:
    """The convolution, with the suite's norm behind it if there is one."""
    return conv if norm == "none" else nn.Sequential(conv, norm_layer(conv.out_channels, norm))
