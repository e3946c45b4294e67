"""The RetinaNet head: two towers shared over the levels, focal loss; arXiv:1708.02002."""

from __future__ import annotations

from math import ceil, log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import DetectorConfig, HeadOptions, HeadOutput, refuse_options
from sobench.models.parts.anchors import AnchorLevel, anchor_levels, grid_anchors, suite_anchors
from sobench.models.parts.boxes import encode
from sobench.models.parts.class_layers import ClassLayer
from sobench.models.parts.losses import focal_loss, smooth_l1
from sobench.models.parts.matching import IGNORED, match, matched_targets
from sobench.models.parts.nms import (
    Candidates,
    Detections,
    flatten_predictions,
    level_topk_candidates,
    nms,
)
from sobench.models.parts.pyramid import Levels, convolution
from sobench.models.parts.whole_batch import whole_count

LEVELS = Levels(3, 7, extra="convolution")
"""The pyramid levels that the head reads."""

_STDS = (1.0, 1.0, 1.0, 1.0)
_PRIOR = 0.01
"""Score of every class before training; section 4.1."""


def match_anchors(targets: Targets, anchors: Tensor) -> Tensor:
    """Match of each of ``[A, 4]`` anchors, as from ``match``: ``[B, A]``."""
    return match(targets, anchors, pos_iou=0.5, neg_iou=0.4)


class RetinaNetHead(nn.Module):
    """Classes and boxes from every cell of every level.

    The towers are 3x3 convolutions (four, if the suite does not pin another depth) with the suite's
    norm and ReLU. An anchor is an object from an IoU of .5 and background below .4. Focal loss
    (alpha .25, gamma 2) and L1 are both divided by the number of matched anchors of the batch.

    Raises:
        ValueError: ``options`` has a ``sampler`` or a ``box_head``.
    """

    def __init__(
        self, config: DetectorConfig, strides: tuple[int, ...], options: HeadOptions
    ) -> None:
        super().__init__()
        refuse_options("RetinaNetHead", options, ("sampler", "box_head"))
        self.config = config
        self.strides = strides
        self.anchor_spec = options.anchors or suite_anchors(config.anchors, len(strides))
        self.box_loss = options.box_loss or smooth_l1
        self.upsample = options.upsample
        num_anchors = self.anchor_spec.num_anchors
        channels = options.channels or config.neck.channels
        levels = len(strides) if options.level_norm else 0
        depth = options.tower_convs
        if depth is None:
            depth = config.neck.tower_convs
        self.class_tower = Tower(channels, config.neck.norm, depth, levels)
        self.box_tower = Tower(channels, config.neck.norm, depth, levels)
        self.class_logits = nn.Conv2d(channels, num_anchors * config.num_classes, 3, padding=1)
        self.box_offsets = nn.Conv2d(channels, num_anchors * 4, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # The paper's .01 is for 256 channels; with it the signal fades in narrower towers.
                nn.init.normal_(module.weight, std=0.01 * (256 / channels) ** 0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.constant_(self.class_logits.bias, -log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """``[B, C, h, w]`` -> ``logits`` ``[B, A*K, h, w]``, ``offsets`` ``[B, A*4, h, w]``.

        ``class_tower`` and ``box_tower`` are the ``[B, C, h, w]`` maps that these are predicted
        from. With ``upsample`` all maps have the head's strides, which are half of the pyramid's.
        """
        class_tower = self._at_strides(self.class_tower(pyramid))
        box_tower = self._at_strides(self.box_tower(pyramid))
        return {
            "logits": [self.class_logits(x) for x in class_tower],
            "offsets": [self.box_offsets(x) for x in box_tower],
            "class_tower": class_tower,
            "box_tower": box_tower,
        }

    def class_layers(self) -> dict[str, ClassLayer]:
        """The layers that predict classes."""
        return {"class_logits": ClassLayer(self.box_offsets.out_channels // 4)}

    def _at_strides(self, tower: list[Tensor]) -> list[Tensor]:
        """Enlarge the maps if ``upsample`` is on, and cut off cells that lie beyond the input."""
        if not self.upsample:
            return tower
        height, width = self.config.canvas(tower[0], 2 * self.strides[0])
        return [
            F.interpolate(x, scale_factor=2, mode="nearest")[
                ..., : ceil(height / stride), : ceil(width / stride)
            ]
            for x, stride in zip(tower, self.strides, strict=True)
        ]

    @property
    def anchor_levels(self) -> tuple[AnchorLevel, ...]:
        """The anchors of each level, finest first."""
        return anchor_levels(self.strides, self.anchor_spec)

    def anchors(self, output: HeadOutput) -> Tensor:
        """``[A, 4]`` anchors of all levels, in the order of the flattened predictions."""
        return grid_anchors(output["logits"], self.strides, self.anchor_spec)

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``class`` and ``box`` loss, divided by the batch's matched anchors."""
        anchors = self.anchors(output)
        return self.matched_loss(output, targets, anchors, match_anchors(targets, anchors))

    def matched_loss(
        self, output: HeadOutput, targets: Targets, anchors: Tensor, matches: Tensor
    ) -> dict[str, Tensor]:
        """``class`` and ``box`` loss of anchors that are matched already.

        Args:
            anchors: ``[A, 4]``; matches: ``[B, A]``, as from ``match_anchors``.
        """
        logits = torch.cat(
            [flatten_predictions(x, self.config.num_classes) for x in output["logits"]], dim=1
        )
        offsets = torch.cat([flatten_predictions(x, 4) for x in output["offsets"]], dim=1)
        positive = matches >= 0
        boxes, labels = matched_targets(targets, matches)
        num_positives = whole_count(positive.sum()).clamp(min=1)
        box_loss = self.box_loss(offsets, encode(boxes, anchors, _STDS), positive)
        class_loss = focal_loss(logits, labels, positive, matches != IGNORED)
        return {"class": class_loss / num_positives, "box": box_loss / num_positives}

    def detect(self, output: HeadOutput) -> Detections:
        """The candidates, clipped to the input, and after NMS."""
        canvas = self.config.canvas(output["logits"][0], self.strides[0])
        return nms(self.candidates(output), canvas, self.config.detect)

    def candidates(self, output: HeadOutput) -> Candidates:
        """The best ``top_k`` of each level, decoded."""
        num_classes, top_k = self.config.num_classes, self.config.detect.top_k
        scores = [flatten_predictions(x, num_classes).sigmoid() for x in output["logits"]]
        offsets = [flatten_predictions(x, 4) for x in output["offsets"]]
        return level_topk_candidates(scores, offsets, self.anchors(output), _STDS, top_k)

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """All predictions, but not the towers' maps, on which they depend."""
        return [*output["logits"], *output["offsets"]]


class Tower(nn.Module):
    """3x3 convolutions with ReLU, shared over the levels.

    Args:
        norm: ``none`` or ``group``.
        depth: number of convolutions.
        levels: number of pyramid levels if each has its own batch normalisation (NAS-FPN, section
            4); 0 if the levels share ``norm``.
    """

    def __init__(self, channels: int, norm: str, depth: int, levels: int) -> None:
        super().__init__()
        count = range(depth)
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            if levels
            else convolution(channels, channels, 3, norm)
            for _ in count
        )
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(levels)) for _ in count
        )

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """``[B, C, h, w]`` of every level -> the same shapes."""
        return [self._level(x, level) for level, x in enumerate(pyramid)]

    def _level(self, x: Tensor, level: int) -> Tensor:
        for conv, norms in zip(self.convs, self.norms, strict=True):
            x = conv(x)
            if isinstance(norms, nn.ModuleList) and len(norms):
                x = norms[level](x)
            x = F.relu(x, inplace=True)
        return x


def build(config: DetectorConfig, strides: tuple[int, ...], options: HeadOptions) -> RetinaNetHead:
    """The head; called by ``build_head``."""
    return RetinaNetHead(config, strides, options)
