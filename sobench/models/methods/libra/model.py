"""Libra R-CNN: balance of features, losses and samples; arXiv:1904.02701.

Each of its three parts has a switch: the balanced feature pyramid behind FPN (section 3.2),
balanced L1 for boxes (section 3.3, ``loss.py``), and under Faster R-CNN the IoU-balanced choice of
negatives (section 3.1, ``sampler.py``). RetinaNet does not sample and gets the first two.

The levels are averaged at stride 16, as in the authors' configurations, which also have 1 (Faster
R-CNN) and .11 (RetinaNet) as the balanced loss's ``beta``. Their code starts the non-local block
from Xavier weights; ``zero_init`` starts it as the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sobench.models.detector import Detector, DetectorConfig, HeadOptions
from sobench.models.heads import build_head, head_levels
from sobench.models.methods.libra.loss import balanced_l1
from sobench.models.methods.libra.sampler import iou_balanced_sample
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import FeaturePyramid, convolution, init_xavier
from sobench.suite.network import Neck

_MEAN_STRIDE = 16
_BETA = {"retinanet": 0.11, "faster_rcnn": 1.0}


class NonLocal(nn.Module):
    """Embedded-Gaussian non-local block; arXiv:1711.07971, Eq. 1 and 6.

    ``x + W_z(softmax(theta(x)^T phi(x)) g(x))``, without channel reduction and, as in the authors'
    configuration, without division by the square root of the channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, channels, 1)
        self.theta = nn.Conv2d(channels, channels, 1)
        self.phi = nn.Conv2d(channels, channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` -> the same shape."""
        theta, phi, g = (conv(x).flatten(2) for conv in (self.theta, self.phi, self.g))
        # Unscaled products reach a hundred, where bfloat16 has steps of a half.
        with torch.autocast("cuda" if x.is_cuda else "cpu", enabled=False):
            weights = (theta.transpose(1, 2).float() @ phi.float()).softmax(dim=-1)
        mixed = (weights.to(g.dtype) @ g.transpose(1, 2)).transpose(1, 2).reshape(x.shape)
        refined: Tensor = x + self.output(mixed)
        return refined


class BalancedPyramid(nn.Module):
    """Adds the refined mean of all levels to each level; Libra R-CNN, section 3.2, Eq. 4.

    Args:
        refine: ``none``, ``conv`` (3x3 with ReLU) or ``non_local``.
        zero_init: start the non-local block as the identity.
        mean_level: index of the level whose size the mean has.
    """

    def __init__(
        self, pyramid: FeaturePyramid, settings: Neck, refine: str, zero_init: bool, mean_level: int
    ) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.mean_level = mean_level
        channels = settings.channels
        self.refine: nn.Module = nn.Identity()
        if refine == "conv":
            conv = convolution(channels, channels, 3, settings.norm)
            self.refine = nn.Sequential(conv, nn.ReLU())
        elif refine == "non_local":
            self.refine = NonLocal(channels)
        init_xavier(self.refine)
        if zero_init and isinstance(self.refine, NonLocal):
            nn.init.zeros_(self.refine.output.weight)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 -> the levels of the head, finest first."""
        return self.balanced(self.pyramid(features))

    def balanced(self, levels: list[Tensor]) -> list[Tensor]:
        """Gather to one size, mean, refine, scatter, add; finer maps shrink by max-pooling."""
        size = levels[self.mean_level].shape[-2:]
        gathered = [
            F.adaptive_max_pool2d(x, list(size)) if i < self.mean_level
            else F.interpolate(x, size=size, mode="nearest")
            for i, x in enumerate(levels)
        ]  # fmt: skip
        mean = self.refine(torch.stack(gathered).mean(dim=0))
        return [
            x + F.interpolate(mean, size=x.shape[-2:], mode="nearest") if i < self.mean_level
            else x + F.adaptive_max_pool2d(mean, list(x.shape[-2:]))
            for i, x in enumerate(levels)
        ]  # fmt: skip


def build(backbone: Backbone, config: DetectorConfig, switches: Mapping[str, Any]) -> Detector:
    """Backbone, balanced pyramid, and the suite's head with the balanced loss and sampler."""
    levels = head_levels(config.head)
    pyramid = FeaturePyramid(backbone, config.neck, levels)
    neck: nn.Module = pyramid
    if switches["balanced_pyramid"]:
        mean_level = levels.strides.index(_MEAN_STRIDE)
        refine, zero_init = switches["refine"], switches["zero_init"]
        neck = BalancedPyramid(pyramid, config.neck, refine, zero_init, mean_level)
    options = HeadOptions()
    if switches["balanced_l1"]:
        options = replace(options, box_loss=partial(balanced_l1, beta=_BETA[config.head]))
    if switches["balanced_sampling"] and config.head == "faster_rcnn":
        sampler = partial(iou_balanced_sample, code_compat=bool(switches["code_compat"]))
        options = replace(options, sampler=sampler)
    return Detector(backbone, neck, build_head(config, levels.strides, options))
