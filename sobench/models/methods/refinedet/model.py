"""RefineDet: single-shot refinement neural network, arXiv:1711.06897.

From the paper: the four sources of strides 8 to 64, the transfer connection blocks (TCBs),
matching, mining, both losses and the filter of negatives; its anchors with ``anchors: paper``. On
VGG-16 an L2 normalisation follows conv4_3 and conv5_3, fc6 (dilation 3) and fc7 are convolutions
that start from every fourth unit of the classifier's, and conv6_1 and conv6_2 are new. On a ResNet
the new layer is the bottleneck res6, and its convolutions and those of the TCBs have batch
normalisation, as in the authors' models.

Ours: fc6 and fc7 start from Xavier weights where ``backbone.weights`` has no classifier; the TCBs
are as wide as the suite's pyramid (256 in the paper); ``neck.norm: group`` puts GroupNorm where a
ResNet has batch normalisation in new layers, and into the TCBs of VGG-16; ResNets other than the
paper's 101 take the same form; where a map's side is odd, the enlarged map above it is cropped to
it; anchors are the suite's unless the paper's are asked for; candidates, overlap and number of
detections are the suite's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from sobench.models.detector import Detector, DetectorConfig
from sobench.models.heads.refinedet import RefineDetHead
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import batch_unless_group, convolution, norm_layer
from sobench.models.parts.vgg import FcWeights, L2Norm, convolutional_fc, load_fc

STRIDES = (8, 16, 32, 64)
"""Of the sources, section 4, "Anchors Design and Matching"."""


class VggSources(nn.Module):
    """conv4_3, conv5_3, fc7 and conv6_2; section 4, "Backbone Network".

    Args:
        fc: that fc6 and fc7 start from, instead of Xavier weights.
    """

    channels = (512, 512, 1024, 512)

    def __init__(self, fc: FcWeights | None = None) -> None:
        super().__init__()
        self.norms = nn.ModuleList([L2Norm(512, 10.0), L2Norm(512, 8.0)])
        self.fc = convolutional_fc(3)
        self.conv6 = nn.Sequential(
            nn.Conv2d(1024, 256, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 512, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
        )
        init(self)
        if fc is not None:
            load_fc(self.fc, fc)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 of VGG-16 -> source maps, finest first."""
        normed = [norm(x) for norm, x in zip(self.norms, features[1:3], strict=True)]
        fc7 = self.fc(features[3])
        return [*normed, fc7, self.conv6(fc7)]


class ResNetSources(nn.Module):
    """C3, C4, C5 and res6, a bottleneck of 128, 128 and 512 channels and stride 2.

    Args:
        norm: ``batch``, as in the paper, or ``group``.
    """

    def __init__(self, backbone: Backbone, norm: str) -> None:
        super().__init__()
        inputs = backbone.channels[-1]
        self.channels = (*backbone.channels[1:], 512)
        projection = convolution(inputs, 512, 1, norm, stride=2)
        self.res6 = Bottleneck(
            inputs, 128, stride=2, downsample=projection, norm_layer=lambda c: norm_layer(c, norm)
        )
        init(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 of a ResNet -> source maps, finest first."""
        return [*features[1:], self.res6(features[-1])]


class TransferConnection(nn.Module):
    """A transfer connection block; section 3 and figure 2.

    Args:
        inputs: channels of the source map.
        norm: ``none``, ``batch`` or ``group``, behind every convolution.
        top: the coarsest level, to which nothing is added.
    """

    def __init__(self, inputs: int, channels: int, norm: str, top: bool) -> None:
        super().__init__()
        self.transfer = nn.Sequential(
            convolution(inputs, channels, 3, norm),
            nn.ReLU(inplace=True),
            convolution(channels, channels, 3, norm),
        )
        self.enlarge: nn.Module | None = None
        if not top:
            deconv = nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=norm == "none")
            self.enlarge = (
                deconv if norm == "none" else nn.Sequential(deconv, norm_layer(channels, norm))
            )
        self.output = nn.Sequential(
            nn.ReLU(inplace=True),
            convolution(channels, channels, 3, norm),
            nn.ReLU(inplace=True),
        )
        init(self)

    def forward(self, source: Tensor, above: Tensor | None) -> Tensor:
        """``[B, inputs, h, w]`` and the block's map above, ``[B, C, h/2, w/2]`` rounded up.

        Returns:
            ``[B, C, h, w]``.
        """
        x: Tensor = self.transfer(source)
        if self.enlarge is not None:
            # Half of an odd side was rounded up, so the enlarged map is a cell too long.
            x = x + self.enlarge(above)[..., : x.shape[-2], : x.shape[-1]]
        mixed: Tensor = self.output(x)
        return mixed


class RefineDetNeck(nn.Module):
    """The ARM's source maps, and by transfer connection blocks the ODM's maps.

    Args:
        channels, norm: of the blocks.
        tcb: false leaves the blocks out, and the maps are the sources alone.
    """

    def __init__(
        self, sources: VggSources | ResNetSources, channels: int, norm: str, tcb: bool
    ) -> None:
        super().__init__()
        self.sources = sources
        top = len(sources.channels) - 1
        self.blocks = nn.ModuleList(
            TransferConnection(inputs, channels, norm, level == top)
            for level, inputs in enumerate(sources.channels if tcb else ())
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> four source maps, then the maps of the blocks, if any; both finest first."""
        sources = self.sources(features)
        maps: list[Tensor] = []
        above = None
        for level in reversed(range(len(self.blocks))):
            above = self.blocks[level](sources[level], above)
            maps.insert(0, above)
        return [*sources, *maps]


def init(module: nn.Module) -> None:
    """Xavier uniform, but a standard deviation of .01 before a norm; section 4, "Optimization".

    Such small weights lose no signal at any width, since the norm rescales it.
    """
    for conv in module.modules():
        if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
            continue
        if conv.bias is None:
            nn.init.normal_(conv.weight, std=0.01)
        else:
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """The paper's network on VGG-16 or on a ResNet."""
    settings = config.neck
    norm = batch_unless_group(settings.norm) if backbone.has_norm else settings.norm
    sources = ResNetSources(backbone, norm) if backbone.has_norm else VggSources(backbone.fc)
    neck = RefineDetNeck(sources, settings.channels, norm, switches["tcb"])
    head = RefineDetHead(config, STRIDES, sources.channels, **switches)
    return Detector(backbone, neck, head)
