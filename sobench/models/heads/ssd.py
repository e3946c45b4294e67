"""The SSD head: one 3x3 convolution per level for classes, one for boxes; arXiv:1512.02325."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import DetectorConfig, HeadOutput, all_predictions
from sobench.models.parts.anchors import (
    AnchorLevel,
    AnchorSpec,
    DefaultBoxes,
    anchor_levels,
    grid_anchors,
)
from sobench.models.parts.class_layers import ClassLayer, anchors_by_level
from sobench.models.parts.multibox import STDS, multibox_loss
from sobench.models.parts.nms import (
    Candidates,
    Detections,
    flatten_predictions,
    level_topk_candidates,
    nms,
)
from sobench.models.parts.pyramid import init_xavier


class SSDHead(nn.Module):
    """Softmax over the classes and a background (index 0) for every default box.

    Training uses ``multibox_loss``.

    Args:
        strides, channels: of each source map.
        anchor_spec: the default boxes of a cell of each source map.
    """

    def __init__(
        self,
        config: DetectorConfig,
        strides: tuple[int, ...],
        channels: Sequence[int],
        anchor_spec: AnchorSpec | DefaultBoxes,
    ) -> None:
        super().__init__()
        self.config = config
        self.strides = strides
        self.anchor_spec = anchor_spec
        width = config.num_classes + 1
        counts = [len(shapes) for shapes in anchor_spec.shapes]
        pairs = list(zip(channels, counts, strict=True))
        self.class_logits = nn.ModuleList(nn.Conv2d(c, a * width, 3, padding=1) for c, a in pairs)
        self.box_offsets = nn.ModuleList(nn.Conv2d(c, a * 4, 3, padding=1) for c, a in pairs)
        init_xavier(self)

    def forward(self, sources: list[Tensor]) -> HeadOutput:
        """Source maps -> ``logits`` ``[B, A*(K+1), h, w]``, ``offsets`` ``[B, A*4, h, w]``."""
        return {
            "logits": [conv(x) for conv, x in zip(self.class_logits, sources, strict=True)],
            "offsets": [conv(x) for conv, x in zip(self.box_offsets, sources, strict=True)],
        }

    @property
    def anchor_levels(self) -> tuple[AnchorLevel, ...]:
        """The anchors of each level, finest first."""
        return anchor_levels(self.strides, self.anchor_spec)

    def anchors(self, output: HeadOutput) -> Tensor:
        """``[A, 4]`` default boxes of all maps, in the order of the flattened predictions."""
        return grid_anchors(output["logits"], self.strides, self.anchor_spec)

    def class_layers(self) -> dict[str, ClassLayer]:
        """The layers that predict classes."""
        return {
            f"class_logits.{level}": ClassLayer(count, background=True)
            for level, count in enumerate(anchors_by_level(self.box_offsets))
        }

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``class`` and ``box`` loss, divided by the batch's positives."""
        logits = torch.cat(
            [flatten_predictions(x, self.config.num_classes + 1) for x in output["logits"]], dim=1
        )
        offsets = torch.cat([flatten_predictions(x, 4) for x in output["offsets"]], dim=1)
        class_loss, box_loss = multibox_loss(logits, offsets, self.anchors(output), targets)
        return {"class": class_loss, "box": box_loss}

    def detect(self, output: HeadOutput) -> Detections:
        """The candidates, clipped to the input, and after NMS."""
        canvas = self.config.canvas(output["logits"][0], self.strides[0])
        return nms(self.candidates(output), canvas, self.config.detect)

    def candidates(self, output: HeadOutput) -> Candidates:
        """The best ``top_k`` of each source map, decoded."""
        width, top_k = self.config.num_classes + 1, self.config.detect.top_k
        scores = [flatten_predictions(x, width).softmax(dim=-1)[..., 1:] for x in output["logits"]]
        offsets = [flatten_predictions(x, 4) for x in output["offsets"]]
        anchors = self.anchors(output)
        return level_topk_candidates(scores, offsets, anchors, STDS, top_k)

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """All predictions."""
        return all_predictions(output)
