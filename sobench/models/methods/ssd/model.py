"""SSD: single-shot multi-box detector, arXiv:1512.02325.

On VGG-16 the network is the paper's SSD300 or SSD512, and the input must be 300x300 or 512x512.
conv4_3 has an L2 normalisation, fc6 and fc7 are convolutions, and four or five extra stages follow.
fc6 and fc7 start from every fourth unit of those of the classifier, or from Xavier weights where
``backbone.weights`` has none.

On ResNets the form is ours, for comparisons under uniform conditions: the sources are C3, C4 and
C5, then extra stages as in the paper halve the map until it is a single cell; ``neck.norm: group``
puts GroupNorm behind their convolutions.

Both keep the paper's default boxes, matching, mining and losses (an object whose best default box
goes to another gets no second one, unlike in the authors' code); candidates, overlap and number of
detections are the suite's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from sobench.models.detector import Detector, DetectorConfig
from sobench.models.heads.ssd import SSDHead
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
        self.sides: tuple[int, ...]
        if size == 300:
            stages += [(128, 256, 3, 1, 0), (128, 256, 3, 1, 0)]
            self.sides = (38, 19, 10, 5, 3, 1)
        else:
            stages += [(128, 256, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 4, 1, 1)]
            self.sides = (64, 32, 16, 8, 4, 2, 1)
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


def default_boxes(
    maps: Sequence[tuple[int, int]],
    steps: Sequence[tuple[float, float]],
    sizes: Sequence[float],
    num_anchors: Sequence[int],
) -> Tensor:
    """Default boxes of every map; the paper's section 2.2, "choosing scales and aspect ratios".

    Args:
        maps: height and width of each map; steps: pixels from cell to cell, down and right.
        sizes: pixels, one more than maps: a square of ``s_k`` and one of ``sqrt(s_k * s_k+1)``.
        num_anchors: 4 (ratios 2, 1/2) or 6 (also 3, 1/3) for each map.

    Returns:
        ``[A, 4]`` ``x1, y1, x2, y2`` in pixels, centred half a cell in.
    """
    levels = []
    for k, ((height, width), step) in enumerate(zip(maps, steps, strict=True)):
        side, between = sizes[k], sqrt(sizes[k] * sizes[k + 1])
        shapes = [(side, side), (between, between)]
        for ratio in (2, 3)[: num_anchors[k] // 2 - 1]:
            wide, high = side * sqrt(ratio), side / sqrt(ratio)
            shapes += [(wide, high), (high, wide)]
        half = torch.tensor(shapes, dtype=torch.float64, device="cpu") / 2
        y = (torch.arange(height, dtype=torch.float64, device="cpu") + 0.5) * step[0]
        x = (torch.arange(width, dtype=torch.float64, device="cpu") + 0.5) * step[1]
        y, x = torch.meshgrid(y, x, indexing="ij")
        centre = torch.stack((x, y), dim=-1).reshape(-1, 1, 2)
        levels.append(torch.cat((centre - half, centre + half), dim=-1).reshape(-1, 4))
    return torch.cat(levels).float()


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """The paper's network on VGG-16, the uniform form on a ResNet."""
    build_form = _uniform_form if backbone.has_norm else _paper_form
    neck, head = build_form(backbone, config, switches["boxes"])
    return Detector(backbone, neck, head)


def _paper_form(
    backbone: Backbone, config: DetectorConfig, boxes: str
) -> tuple[VggSources, SSDHead]:
    size = config.size[0]
    neck = VggSources(size, backbone.fc)
    num_anchors = (4, 6, 6, 6, 4, 4) if size == 300 else (4, 6, 6, 6, 6, 4, 4)
    steps = (8, 16, 32, 64, 100, 300) if size == 300 else (8, 16, 32, 64, 128, 256, 512)
    boxes_of_maps = default_boxes(
        [(side, side) for side in neck.sides],
        [(step, step) for step in steps],
        _SIZES[size, boxes],
        num_anchors,
    )
    return neck, SSDHead(config, neck.channels, num_anchors, boxes_of_maps)


def _uniform_form(
    backbone: Backbone, config: DetectorConfig, boxes: str
) -> tuple[ResNetSources, SSDHead]:
    height, width = config.size
    neck = ResNetSources(backbone, config.size, config.neck.norm)
    count = len(neck.strides)
    num_anchors = (4, *(6,) * (count - 3), 4, 4)
    boxes_of_maps = default_boxes(
        [(ceil(height / stride), ceil(width / stride)) for stride in neck.strides],
        [(stride, stride) for stride in neck.strides],
        _uniform_sizes(config.size, boxes, count),
        num_anchors,
    )
    return neck, SSDHead(config, neck.channels, num_anchors, boxes_of_maps)


def _uniform_sizes(size: tuple[int, int], boxes: str, levels: int) -> list[float]:
    """The paper's rule: a small first size, then even steps from the second to .9 of the input."""
    shorter = min(size)
    first, second = _SHARES["large" if shorter >= 512 else "small", boxes]
    step = (0.9 - second) / (levels - 2)
    shares = [first, *(second + step * k for k in range(levels))]
    return [share * shorter for share in shares]
