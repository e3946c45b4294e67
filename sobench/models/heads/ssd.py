"""The SSD head: one 3x3 convolution per level for classes, one for boxes; arXiv:1512.02325."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import DetectorConfig, HeadOutput, all_predictions
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
        channels: of each source map.
        num_anchors: default boxes per cell of each source map.
        boxes: ``[A, 4]`` default boxes of all maps, in pixels of the input.
    """

    boxes: Tensor

    def __init__(
        self,
        config: DetectorConfig,
        channels: Sequence[int],
        num_anchors: Sequence[int],
        boxes: Tensor,
    ) -> None:
        super().__init__()
        self.config = config
        width = config.num_classes + 1
        pairs = list(zip(channels, num_anchors, strict=True))
        self.class_logits = nn.ModuleList(nn.Conv2d(c, a * width, 3, padding=1) for c, a in pairs)
        self.box_offsets = nn.ModuleList(nn.Conv2d(c, a * 4, 3, padding=1) for c, a in pairs)
        self.register_buffer("boxes", boxes, persistent=False)
        init_xavier(self)

    def forward(self, sources: list[Tensor]) -> HeadOutput:
        """Source maps -> ``logits`` ``[B, A*(K+1), h, w]``, ``offsets`` ``[B, A*4, h, w]``."""
        return {
            "logits": [conv(x) for conv, x in zip(self.class_logits, sources, strict=True)],
            "offsets": [conv(x) for conv, x in zip(self.box_offsets, sources, strict=True)],
        }

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``class`` and ``box`` loss, divided by the batch's positives."""
        logits = torch.cat(
            [flatten_predictions(x, self.config.num_classes + 1) for x in output["logits"]], dim=1
        )
        offsets = torch.cat([flatten_predictions(x, 4) for x in output["offsets"]], dim=1)
        class_loss, box_loss = multibox_loss(logits, offsets, self.boxes, targets)
        return {"class": class_loss, "box": box_loss}

    def detect(self, output: HeadOutput) -> Detections:
        """The candidates, clipped to the input, and after NMS."""
        return nms(self.candidates(output), self.config.size, self.config.detect)

    def candidates(self, output: HeadOutput) -> Candidates:
        """The best ``top_k`` of each source map, decoded."""
        width, top_k = self.config.num_classes + 1, self.config.detect.top_k
        scores = [flatten_predictions(x, width).softmax(dim=-1)[..., 1:] for x in output["logits"]]
        offsets = [flatten_predictions(x, 4) for x in output["offsets"]]
        return level_topk_candidates(scores, offsets, self.boxes, STDS, top_k)

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """All predictions."""
        return all_predictions(output)
