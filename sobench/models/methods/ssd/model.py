"""SSD: single-shot multi-box detector, arXiv:1512.02325.

On VGG-16 the network is the paper's SSD300 or SSD512, and the input must be 300x300 or 512x512.
conv4_3 has an L2 normalisation, fc6 and fc7 are convolutions, and four or five extra stages follow.
fc6 and fc7 start from every fourth unit of those of the classifier, or from Xavier weights where
``backbone.weights`` has none.

On ResNets the form is ours, for comparisons under uniform conditions: the sources are C3, C4 and
C5, then extra stages as in the paper halve the map until it is a single cell; ``neck.norm: group``
puts GroupNorm behind their convolutions.

Both keep the paper's matching, mining and losses. Default boxes are the suite's anchors;
``anchors: paper`` has those of the paper's models, whose sizes are shares of the input. Candidates,
overlap and number of detections are the suite's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from torch import Tensor, nn

from sobench.models.detector import Detector, DetectorConfig
from sobench.models.heads.ssd import SSDHead
from sobench.models.parts.anchors import AnchorSpec, DefaultBoxes, suite_anchors
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import convolution, init_xavier
from sobench.models.parts.vgg import FcWeights, L2Norm, convolutional_fc, load_fc

# Default-box sizes in pixels of the papers' models; the last one only widens the last level.
_SIZES = {
    (300, "voc"): (30, 60, 111, 162, 213, 264, 315),
    (300, "coco"): (21, 45, 99, 153, 207, 261, 315),
    (512, "voc"): (35.84, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8, 537.6),
    (512, "coco"): (20, 51, 133, 215, 296, 378, 460, 542),
}
# Smallest and second size as a share of the input, by the paper's rule for its 300 and 512 models.
_SHARES = {
    ("small", "voc"): (0.1, 0.2),
    ("small", "coco"): (0.07, 0.15),
    ("large", "voc"): (0.07, 0.15),
    ("large", "coco"): (0.04, 0.1),
}


Stage = tuple[int, int, int, int, int]
"""Channels of the 1x1 convolution; output channels, kernel, stride and padding of the other."""


class ExtraStages(nn.ModuleList):
    """Stages of 1x1 and 3x3 convolutions with ReLU; each reads the output of the one before.

    Args:
        norm: ``none``, as in the paper, or the suite's ``group`` behind every convolution.
    """

    def __init__(self, inputs: int, stages: Sequence[Stage], norm: str = "none") -> None:
        super().__init__()
        for middle, outputs, kernel, stride, padding in stages:
            self.append(
                nn.Sequential(
                    convolution(inputs, middle, 1, norm),
                    nn.ReLU(inplace=True),
                    convolution(middle, outputs, kernel, norm, stride, padding),
                    nn.ReLU(inplace=True),
                )
            )
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """``[B, C, h, w]`` -> the output of every stage."""
        maps = []
        for stage in self:
            x = stage(x)
            maps.append(x)
        return maps


class VggSources(nn.Module):
    """conv4_3, fc7 and the extra stages of SSD300 or SSD512; the paper's section 3.

    Args:
        size: side of the input.
        fc: that fc6 and fc7 start from, instead of Xavier weights.
    """

    def __init__(self, size: int, fc: FcWeights | None = None) -> None:
        super().__init__()
        self.norm = L2Norm(512, 20.0)
        self.fc = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), *convolutional_fc(6))
        stages: list[Stage] = [(256, 512, 3, 2, 1), (128, 256, 3, 2, 1)]
        self.strides: tuple[int, ...]
        if size == 300:
            stages += [(128, 256, 3, 1, 0), (128, 256, 3, 1, 0)]
            self.strides = (8, 16, 32, 64, 100, 300)
        else:
            stages += [(128, 256, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 4, 1, 1)]
            self.strides = (8, 16, 32, 64, 128, 256, 512)
        self.extra = ExtraStages(1024, stages)
        self.channels = (512, 1024, *(stage[1] for stage in stages))
        init_xavier(self)
        if fc is not None:
            load_fc(self.fc, fc)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 of VGG-16 -> source maps of strides 8, 16, ..."""
        fc7 = self.fc(features[2])
        return [self.norm(features[1]), fc7, *self.extra(fc7)]


class ResNetSources(nn.Module):
    """C3, C4, C5, and extra stages of stride 2 until the map is a single cell."""

    def __init__(self, backbone: Backbone, size: tuple[int, int], norm: str) -> None:
        super().__init__()
        stages: list[Stage] = []
        longest, stride = max(size), 32
        while stride < longest:
            stages.append((256, 512, 3, 2, 1) if not stages else (128, 256, 3, 2, 1))
            stride *= 2
        self.strides = tuple(2**level for level in range(3, 6 + len(stages)))
        self.channels = (*backbone.channels[1:], *(stage[1] for stage in stages))
        self.extra = ExtraStages(backbone.channels[-1], stages, norm)
        init_xavier(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> source maps of strides 8, 16, ..."""
        return [*features[1:], *self.extra(features[-1])]


def default_boxes(sizes: Sequence[float], counts: Sequence[int]) -> DefaultBoxes:
    """Default boxes of every map; the paper's section 2.2, "choosing scales and aspect ratios".

    Args:
        sizes: pixels, one more than maps: a square of ``s_k`` and one of ``sqrt(s_k * s_k+1)``.
        counts: 4 (ratios 2, 1/2) or 6 (also 3, 1/3) for each map.
    """
    levels = []
    for side, after, count in zip(sizes[:-1], sizes[1:], counts, strict=True):
        between = sqrt(side * after)
        shapes = [(side, side), (between, between)]
        for ratio in (2, 3)[: count // 2 - 1]:
            wide, high = side * sqrt(ratio), side / sqrt(ratio)
            shapes += [(wide, high), (high, wide)]
        levels.append(tuple(shapes))
    return DefaultBoxes(tuple(levels))


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """The paper's network on VGG-16, the uniform form on a ResNet."""
    neck: VggSources | ResNetSources
    if backbone.has_norm:
        neck = ResNetSources(backbone, config.size, config.neck.norm)
    else:
        neck = VggSources(config.size[0], backbone.fc)
    boxes: AnchorSpec | DefaultBoxes = suite_anchors(config.anchors, len(neck.strides))
    if switches["anchors"] == "paper":
        boxes = _paper_boxes(neck, config.size, switches["boxes"])
    return Detector(backbone, neck, SSDHead(config, neck.strides, neck.channels, boxes))


def _paper_boxes(
    neck: VggSources | ResNetSources, size: tuple[int, int], boxes: str
) -> DefaultBoxes:
    """Of the paper's models on VGG-16, and by their rule for the sources of a ResNet."""
    if isinstance(neck, VggSources):
        counts = (4, *(6,) * (len(neck.strides) - 3), 4, 4)
        return default_boxes(_SIZES[size[0], boxes], counts)
    levels, shorter = len(neck.strides), min(size)
    # A small first size, then even steps from the second to .9 of the input.
    first, second = _SHARES["large" if shorter >= 512 else "small", boxes]
    step = (0.9 - second) / (levels - 2)
    shares = [first, *(second + step * k for k in range(levels))]
    return default_boxes([share * shorter for share in shares], (4, *(6,) * (levels - 3), 4, 4))
