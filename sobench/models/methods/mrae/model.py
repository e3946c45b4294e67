"""MRAE: the multi-resolution attention extractor, arXiv:2006.05941, under the suite's head.

Three maps of the backbone are summed into one map of stride 4, each with one weight for an image.

From the paper: the levels conv2_x, conv3_x and conv4_x of a ResNet; the 1x1 convolutions that lift
the first two to the channels of the third; 2x and 4x upsampling; the weights of ``soft`` (section
3.1) and of ``mrae`` (section 3.2); single levels as ``hard`` attention; with ``anchors: paper``
four scales and three ratios from a clustering of the training boxes.

Ours, where the paper is silent: the attention reads the backbone's maps before they are lifted;
16x16 cells and 128 values for the vectors of ``mrae``; nearest-neighbour upsampling; a ``hard``
level is lifted and upsampled as it would be in the sum (``plain`` leaves it as it is, at its own
stride, like the paper's baselines), and the backbone ends with it. Anchors are four sides that
double from the suite's smallest; ``anchors: paper`` clusters them by k-means
(``parts/clusters.py``). A 1x1 convolution to the suite's channels fits the map to the
suite's head. ``box_head: res5`` has none: its map feeds the proposals and, as in C4-style Faster
R-CNN, the backbone's last stage as second stage (``res5.py``), which is how we read the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sobench.models.detector import Detector, DetectorConfig, HeadOptions
from sobench.models.heads import build_head
from sobench.models.methods.mrae.res5 import Res5
from sobench.models.parts.anchors import AnchorSpec
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.clusters import cluster_anchors
from sobench.models.parts.pyramid import convolution, init_xavier, upsampled
from sobench.suite.network import Anchors

_STRIDES = (4,)
_NUM_SIDES = 4
"""Anchor sizes of the paper, section 4; each is twice the one before where they are the suite's."""


class SalientValues(nn.Module):
    """Soft attention: the softmax of each level's highest value; section 3.1.

    Args:
        channels: of each level.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps ``[B, C, h, w]`` -> ``[B, levels]`` weights of sum 1."""
        values = [
            conv(x).amax(dim=(1, 2, 3)) for conv, x in zip(self.reduce, features, strict=True)
        ]
        return torch.stack(values, dim=1).float().softmax(dim=1)


class TemplateSimilarity(nn.Module):
    """The softmax of each level's cosine similarity with a template level; section 3.2.

    The similarity of the template to itself is 1, so its weight lies in [.3333, .7870] and that of
    another level in [.0634, .4683]: no level is ever alone, and none is left out.

    Args:
        channels: of each level.
        template: index of the level that the others are compared with.
    """

    def __init__(self, channels: tuple[int, ...], template: int) -> None:
        super().__init__()
        self.template = template
        self.vectors = nn.ModuleList(LevelVector(c) for c in channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps ``[B, C, h, w]`` -> ``[B, levels]`` weights of sum 1."""
        vectors = [vector(x) for vector, x in zip(self.vectors, features, strict=True)]
        template = vectors[self.template]
        degrees = [F.cosine_similarity(template, vector, dim=1) for vector in vectors]
        # By definition, also where the vector is zero.
        degrees[self.template] = torch.ones_like(degrees[self.template])
        return torch.stack(degrees, dim=1).softmax(dim=1)


class LevelVector(nn.Module):
    """The vector of a level, by a 1x1 convolution and a fully connected layer; section 3.2.

    The layer needs a map of one size for every input, so the map is averaged into 16x16 cells.
    """

    cells, outputs = 16, 128

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, 1, 1)
        self.connect = nn.Linear(self.cells**2, self.outputs)
        nn.init.xavier_uniform_(self.connect.weight)
        nn.init.zeros_(self.connect.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` -> ``[B, 128]`` float32, since cosines need the precision."""
        cells = F.adaptive_avg_pool2d(self.reduce(x), self.cells)
        vector: Tensor = self.connect(cells.flatten(1)).float()
        return vector


class AttentionExtractor(nn.Module):
    """``A = sum a_i F_i`` at the size of the finest level; the equation that closes section 3.2.

    Levels are lifted and weighted before they are upsampled, which by nearest neighbour gives the
    same map for a fraction of the products.

    Args:
        channels: of the backbone's first three maps.
        levels: indices of those that are summed.
        attention: gives a weight to each of ``levels``; none for a single level.
        output: channels of the map for the head, or ``None`` for those of the third level.
        norm: the suite's, behind every 1x1 convolution but those of the attention.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        levels: tuple[int, ...],
        attention: nn.Module | None,
        output: int | None,
        norm: str,
    ) -> None:
        super().__init__()
        self.levels = levels
        *lower, top = channels
        lifts = [*(convolution(c, top, 1, norm) for c in lower), nn.Identity()]
        self.lifts = nn.ModuleList(lifts[level] for level in levels)
        self.attention = attention
        self.output = nn.Identity() if output is None else convolution(top, output, 1, norm)
        init_xavier(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2 to C4, or as many as there are -> one map of stride 4."""
        chosen = [features[level] for level in self.levels]
        maps = [lift(x) for lift, x in zip(self.lifts, chosen, strict=True)]
        if self.attention is not None:
            weights = self.attention(chosen).to(maps[0].dtype)
            maps = [a.view(-1, 1, 1, 1) * x for a, x in zip(weights.unbind(1), maps, strict=True)]
        attended = upsampled(maps[0], features[0])
        for x in maps[1:]:
            attended = attended + upsampled(x, features[0])
        return [self.output(attended)]


class PlainLevel(nn.Module):
    """The backbone's last map at its own stride; the baselines of section 4, Table 2.

    Args:
        inputs: channels of the map.
        outputs: channels for the head; a 1x1 convolution gives them, unless there are as many.
        norm: the suite's, behind that convolution.
    """

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.output: nn.Module = nn.Identity()
        if inputs != outputs:
            self.output = convolution(inputs, outputs, 1, norm)
        init_xavier(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """The backbone's maps -> the last of them."""
        return [self.output(features[-1])]


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone without its last stage, one attention map, and the head of the suite."""
    last_stage = _pop_last_stage(backbone)
    channels = backbone.channels
    options = HeadOptions(anchors=_anchors(config, switches["anchors"]))
    output: int | None = config.neck.channels
    if switches["box_head"] == "res5":
        output = None
        options = replace(options, channels=channels[-1], box_head=last_stage)
    levels, attention = _attention(channels, switches)
    for _ in channels[levels[-1] + 1 :]:
        backbone.pop_last_stage()
    if switches["plain"]:
        plain = PlainLevel(backbone.channels[-1], output or channels[-1], config.neck.norm)
        return Detector(backbone, plain, build_head(config, backbone.strides[-1:], options))
    neck = AttentionExtractor(channels, levels, attention, output, config.neck.norm)
    return Detector(backbone, neck, build_head(config, _STRIDES, options))


def _attention(
    channels: tuple[int, ...], switches: Mapping[str, Any]
) -> tuple[tuple[int, ...], nn.Module | None]:
    """Indices of the levels that are summed, and the module that weighs them."""
    match switches["mode"]:
        case "hard":
            return (switches["level"] - 1,), None
        case "soft":
            return (0, 1, 2), SalientValues(channels)
        case _:
            return (0, 1, 2), TemplateSimilarity(channels, switches["template"] - 1)


def _pop_last_stage(backbone: Backbone) -> Res5:
    """Take conv5_x off the backbone, as it is: with its weights, frozen or not."""
    frozen = backbone.norm == "frozen" or "layer4" in backbone.freeze
    outputs = backbone.channels[-1]
    return Res5(backbone.pop_last_stage(), outputs, frozen)


def _anchors(config: DetectorConfig, kind: str) -> AnchorSpec:
    """One level of anchors in pixels of the input: the ``suite``'s, or as in the ``paper``.

    Without data at hand, the suite's stand in for those that have to be clustered.
    """
    sides = tuple(config.anchors.smallest * 2.0**number for number in range(_NUM_SIDES))
    ratios = config.anchors.ratios
    if kind == "paper" and config.box_wh is not None:
        sides, ratios = cluster_anchors(config.box_wh, _NUM_SIDES)
    elif kind == "paper":
        ratios = Anchors().ratios  # as many as will be clustered
    return AnchorSpec((sides,), ratios)
