"""The RetinaNet head: two towers shared over the levels, focal loss; arXiv:1708.02002."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.boxes import (
    IGNORED,
    Detections,
    assign,
    candidates,
    encode,
    flat,
    matched,
    pyramid_anchors,
    suppress,
)
from sobench.models.detector import Blueprint, HeadOutput
from sobench.models.losses import focal_loss, smooth_l1
from sobench.models.pyramid import convolution
from sobench.settings import Neck

LEVELS = (3, 7)
"""First and last pyramid level that the head reads."""

_STDS = (1.0, 1.0, 1.0, 1.0)
_PRIOR = 0.01


class RetinaNetHead(nn.Module):
    """Classes and boxes from every cell of every level.

    Towers of 3x3 convolutions (four, if the suite does not pin another depth) with its norm and
    ReLU; anchors as the suite pins them;
    IoU of .5 and more is an object, below .4 background; focal loss (alpha .25, gamma 2) and L1,
    both over the number of matched anchors of the batch.
    """

    def __init__(self, blueprint: Blueprint, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.strides = strides
        anchors = blueprint.anchors.octaves * len(blueprint.anchors.ratios)
        channels = blueprint.neck.channels
        self.class_tower = _tower(blueprint.neck)
        self.box_tower = _tower(blueprint.neck)
        self.class_logits = nn.Conv2d(channels, anchors * blueprint.classes, 3, padding=1)
        self.box_offsets = nn.Conv2d(channels, anchors * 4, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # The paper's .01 is for 256 channels; narrower towers would lose the signal by it.
                nn.init.normal_(module.weight, std=0.01 * (256 / channels) ** 0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.constant_(self.class_logits.bias, -log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """``[B, C, h, w]`` -> ``logits`` ``[B, A*K, h, w]``, ``offsets`` ``[B, A*4, h, w]``."""
        return {
            "logits": [self.class_logits(self.class_tower(x)) for x in pyramid],
            "offsets": [self.box_offsets(self.box_tower(x)) for x in pyramid],
        }

    def anchors(self, output: HeadOutput) -> Tensor:
        """``[A, 4]`` anchors of all levels, in the order of the flattened predictions."""
        sizes = tuple((x.shape[-2], x.shape[-1]) for x in output["logits"])
        settings = self.blueprint.anchors
        return pyramid_anchors(
            sizes,
            self.strides,
            settings.scale,
            settings.octaves,
            settings.ratios,
            output["logits"][0].device,
        )

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``class`` and ``box`` loss, divided by the batch's matched anchors."""
        anchors = self.anchors(output)
        logits = torch.cat([flat(x, self.blueprint.classes) for x in output["logits"]], dim=1)
        offsets = torch.cat([flat(x, 4) for x in output["offsets"]], dim=1)
        assigned = assign(targets, anchors, positive=0.5, negative=0.4)
        positive = assigned >= 0
        boxes, labels = matched(targets, assigned)
        count = positive.sum().clamp(min=1)
        box_loss = smooth_l1(offsets, encode(boxes, anchors, _STDS), positive)
        class_loss = focal_loss(logits, labels, positive, assigned != IGNORED)
        return {"class": class_loss / count, "box": box_loss / count}

    def detect(self, output: HeadOutput) -> Detections:
        """The best ``top_k`` of each level, decoded, clipped to the input and suppressed."""
        settings, classes = self.blueprint.detect, self.blueprint.classes
        scores = [flat(x, classes).sigmoid() for x in output["logits"]]
        offsets = [flat(x, 4) for x in output["offsets"]]
        anchors = torch.split(self.anchors(output), [x.shape[1] for x in offsets])
        found = [
            candidates(*level, _STDS, settings.top_k)
            for level in zip(scores, offsets, anchors, strict=True)
        ]
        return suppress(found, self.blueprint.size, settings)


def _tower(settings: Neck) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(settings.tower_convs):
        layers += [convolution(settings.channels, settings.channels, 3, settings.norm)]
        layers += [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def build(blueprint: Blueprint, strides: tuple[int, ...]) -> RetinaNetHead:
    """The head as ``build_head`` finds it."""
    return RetinaNetHead(blueprint, strides)
