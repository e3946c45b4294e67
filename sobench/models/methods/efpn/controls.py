"""What EFPN's map is held against: its target as a level, and detection from one map alone.

Tables III and V of arXiv:2003.07021. The heads are those of the finished FPN, as they are. That
nothing of them is trained for the other maps is our reading of both tables; from P3 alone a head
trained for it would find more than 28.8 % of the medium signs.

- ``p2_2x``: the finest level is P2 of the image at twice its size, which the extension is trained
  towards (Table III, "FPN-1400 + P2-2800"). The row's input is the image at twice its size; the
  other levels are computed from the means of its 2x2 pixels, as in the authors' code.
- ``p3``: all regions are pooled from P3 (Table V, "P3-1400"; tested at twice the size "P3-2800").
- ``p3_ftt``: all regions are pooled from the transfer's P3', as if from P3 of the image at twice
  its size; the extension is trained as in EFPN, and no head.

Proposals are those of the finished FPN at once the size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from sobench.models.detector import DetectorConfig, HeadOptions, Stage
from sobench.models.heads import build_head
from sobench.models.heads.faster_rcnn import FasterRCNNHead
from sobench.models.methods.efpn.baseline import OnFinishedFpn
from sobench.models.methods.efpn.heads import ExtendedFasterRcnn, SingleMapFasterRcnn
from sobench.models.parts.anchors import fitted_anchors, suite_anchors
from sobench.models.parts.backbone import Backbone
from sobench.models.parts.pyramid import FeaturePyramid, Levels

NO_TRAINING = Stage("no training", 0.0)
"""A stage of no steps: the network is the baseline's weights."""


class TargetLevel(OnFinishedFpn):
    """FPN with P2 of the image at twice its size as finest level; images come at that size."""

    stages = (NO_TRAINING,)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """P2 of the images, then P2 to P6 of the images at half their size."""
        at_once_the_size = F.avg_pool2d(images.float(), 2)
        pyramid: list[Tensor] = self.neck(self.backbone((at_once_the_size - self.mean) / self.std))
        inner = self.neck.fused(self.backbone((images - self.mean) / self.std))
        return [self.neck.output[0](inner[0]), *pyramid]


class SingleMap(OnFinishedFpn):
    """FPN whose regions are all pooled from P3."""

    stages = (NO_TRAINING,)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """P3, then P2 to P6."""
        pyramid = super().pyramid(images)
        return [pyramid[1], *pyramid]


def target_level(
    backbone: Backbone, config: DetectorConfig, levels: Levels, small_below: int, duplicate: bool
) -> TargetLevel:
    """``p2_2x``; ``config`` is of the image at twice its size, and so are all coordinates.

    Args:
        small_below: of a region in pixels of the image at once its size.
    """
    neck = FeaturePyramid(backbone, config.neck, levels)
    # In pixels of twice the size, a level lies at twice its stride, with anchors of twice the side.
    strides = tuple(2 * stride for stride in levels.strides)
    if config.anchors.fit:  # to boxes in these pixels, with the least side for these strides
        settings = fitted_anchors(config.anchors, config.box_wh, strides[0])
    else:
        settings = config.anchors.model_copy(update={"smallest": 2 * config.anchors.smallest})
    anchors = suite_anchors(settings, len(strides))
    original = build_head(config, strides, HeadOptions(anchors=anchors))
    assert isinstance(original, FasterRCNNHead)
    original.pooled_strides = strides[: len(neck.output)]
    return TargetLevel(backbone, neck, ExtendedFasterRcnn(original, 2 * small_below, duplicate))


def single_map(backbone: Backbone, config: DetectorConfig, levels: Levels) -> SingleMap:
    """``p3``."""
    neck = FeaturePyramid(backbone, config.neck, levels)
    original = build_head(config, levels.strides)
    assert isinstance(original, FasterRCNNHead)
    return SingleMap(backbone, neck, SingleMapFasterRcnn(original, levels.strides[1]))
