"""The RefineDet head: anchors are refined, then classified; arXiv:1711.06897."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import DetectorConfig, HeadOutput, all_predictions
from sobench.models.parts.anchors import (
    AnchorLevel,
    AnchorSpec,
    anchor_levels,
    grid_anchors,
    suite_anchors,
)
from sobench.models.parts.boxes import clip, decode
from sobench.models.parts.class_layers import ClassLayer, anchors_by_level
from sobench.models.parts.multibox import STDS, multibox_loss
from sobench.models.parts.nms import (
    Candidates,
    Detections,
    flatten_predictions,
    nms,
    topk_candidates,
)
from sobench.models.parts.pyramid import init_xavier

THETA = 0.99
"""Background confidence above which an anchor is filtered out before the ODM; section 3."""

_SCALE = 4
_RATIOS = (1.0, 2.0, 0.5)


class RefineDetHead(nn.Module):
    """The anchor refinement module (ARM) and the object detection module (ODM).

    The ARM tells objects from background on the source maps and refines the tiled anchors. The ODM
    predicts classes and boxes on the maps of the transfer connection blocks, starting from the
    refined anchors.

    Args:
        strides: of the source maps, finest first.
        sources: channels of the source maps.
        filter_negatives: false raises the threshold ``THETA`` to 1, in training and detection.
        cascade: false matches, encodes and decodes the ODM by the tiled anchors; the ARM is still
            trained, as a second task and for the filter.
        tcb: false leaves out the ARM: classes and boxes are predicted on the source maps from the
            tiled anchors.
        anchors: the suite's, or one side of four strides per level in three ratios (section 4).
        clip_anchors: true clips the tiled anchors to the borders of the input.
    """

    def __init__(
        self,
        config: DetectorConfig,
        strides: tuple[int, ...],
        sources: Sequence[int],
        *,
        filter_negatives: bool = True,
        cascade: bool = True,
        tcb: bool = True,
        anchors: Literal["suite", "paper"] = "suite",
        clip_anchors: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.strides = strides
        self.anchor_spec = suite_anchors(config.anchors, len(strides))
        if anchors == "paper":
            sides = tuple((float(_SCALE * stride),) for stride in strides)
            self.anchor_spec = AnchorSpec(sides, _RATIOS, 0.5)
        num_anchors = self.anchor_spec.num_anchors
        self.theta = THETA if filter_negatives else 1.0
        self.cascade = cascade
        self.clip_anchors = clip_anchors
        maps = [config.neck.channels] * len(strides) if tcb else sources
        self.arm = Predictors(sources, num_anchors, 2) if tcb else None
        self.odm = Predictors(maps, num_anchors, config.num_classes + 1)

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """Source maps, then (with an ARM) the ODM's maps -> raw predictions.

        Returns:
            ``logits`` ``[B, A*(K+1), h, w]`` and ``offsets`` ``[B, A*4, h, w]`` of the ODM;
            ``arm_logits`` ``[B, A*2, h, w]`` and ``arm_offsets`` of the ARM. Class 0 is the
            background.
        """
        levels = len(self.strides)
        logits, offsets = self.odm(pyramid[-levels:])
        output: HeadOutput = {"logits": logits, "offsets": offsets}
        if self.arm is not None:
            output["arm_logits"], output["arm_offsets"] = self.arm(pyramid[:levels])
        return output

    def canvas(self, output: HeadOutput) -> tuple[int, int]:
        """(height, width) of the network input."""
        return self.config.canvas(output["logits"][0], self.strides[0])

    @property
    def anchor_levels(self) -> tuple[AnchorLevel, ...]:
        """The anchors of each level, finest first."""
        return anchor_levels(self.strides, self.anchor_spec)

    def class_layers(self) -> dict[str, ClassLayer]:
        """The layers that predict classes: those of the ODM, since the ARM knows none."""
        return {
            f"odm.class_logits.{level}": ClassLayer(count, background=True)
            for level, count in enumerate(anchors_by_level(self.odm.box_offsets))
        }

    def anchors(self, output: HeadOutput) -> Tensor:
        """``[A, 4]`` tiled anchors of all levels, in the order of the flattened predictions."""
        anchors = grid_anchors(output["logits"], self.strides, self.anchor_spec)
        return clip(anchors, self.canvas(output)) if self.clip_anchors else anchors

    def refine(self, output: HeadOutput, tiled: Tensor) -> tuple[Tensor, Tensor]:
        """Refine the anchors by the ARM's predictions, through which no gradient flows back.

        Returns:
            anchors ``[B, A, 4]``, or ``[A, 4]`` as they were tiled without a cascade, and
            ``[B, A]`` bool, those filtered out because the ARM is sure that they are background.
        """
        logits, offsets = _flattened(output, "arm_", 2)
        filtered = logits.detach().softmax(dim=-1)[..., 0] > self.theta
        return decode(offsets.detach(), tiled, STDS) if self.cascade else tiled, filtered

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """The four sums of section 4, "Loss Function", each over the positives of its module.

        ``class`` and ``box`` are the ODM's, ``arm_class`` and ``arm_box`` the ARM's. A filtered
        anchor may still be a positive: the paper passes on "refined positive anchor boxes", and its
        authors' code keeps all of them.
        """
        anchors, losses = self.anchors(output), {}
        filtered = None
        if self.arm is not None:
            # To the ARM every object is of one class.
            objects = replace(targets, labels=targets.labels.clamp(max=0))
            arm = multibox_loss(*_flattened(output, "arm_", 2), anchors, objects)
            losses = {"arm_class": arm[0], "arm_box": arm[1]}
            anchors, filtered = self.refine(output, anchors)
        odm = _flattened(output, "", self.config.num_classes + 1)
        losses["class"], losses["box"] = multibox_loss(*odm, anchors, targets, filtered)
        return losses

    def detect(self, output: HeadOutput) -> Detections:
        """The candidates, clipped to the input, and after NMS."""
        return nms(self.candidates(output), self.canvas(output), self.config.detect)

    def candidates(self, output: HeadOutput) -> Candidates:
        """The best ``top_k`` of the whole image, as in section 4, decoded."""
        logits, offsets = _flattened(output, "", self.config.num_classes + 1)
        scores = logits.softmax(dim=-1)[..., 1:]
        anchors = self.anchors(output)
        if self.arm is not None:
            anchors, filtered = self.refine(output, anchors)
            scores = scores.masked_fill(filtered.unsqueeze(-1), 0.0)
        return [topk_candidates(scores, offsets, anchors, STDS, self.config.detect.top_k)]

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """All predictions."""
        return all_predictions(output)


class Predictors(nn.Module):
    """For every map one 3x3 convolution for classes and one for boxes, Xavier uniform.

    Args:
        channels: of each map.
        num_anchors: per cell.
        num_classes: including the background.
    """

    def __init__(self, channels: Sequence[int], num_anchors: int, num_classes: int) -> None:
        super().__init__()
        self.class_logits = nn.ModuleList(
            nn.Conv2d(c, num_anchors * num_classes, 3, padding=1) for c in channels
        )
        self.box_offsets = nn.ModuleList(
            nn.Conv2d(c, num_anchors * 4, 3, padding=1) for c in channels
        )
        init_xavier(self)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """``[B, C, h, w]`` -> logits ``[B, A*num_classes, h, w]``, offsets ``[B, A*4, h, w]``."""
        logits = [conv(x) for conv, x in zip(self.class_logits, maps, strict=True)]
        offsets = [conv(x) for conv, x in zip(self.box_offsets, maps, strict=True)]
        return logits, offsets


def _flattened(output: HeadOutput, prefix: str, num_classes: int) -> tuple[Tensor, Tensor]:
    """Logits ``[B, A, num_classes]`` and offsets ``[B, A, 4]`` of all levels of one module.

    Args:
        prefix: ``arm_`` for the ARM, nothing for the ODM.
        num_classes: including the background.
    """
    logits = torch.cat(
        [flatten_predictions(x, num_classes) for x in output[f"{prefix}logits"]], dim=1
    )
    offsets = torch.cat([flatten_predictions(x, 4) for x in output[f"{prefix}offsets"]], dim=1)
    return logits, offsets
