"""The Faster R-CNN head: proposals, then a closer look at each; arXiv:1506.01497, 1612.03144."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import DetectorConfig, HeadOptions, HeadOutput
from sobench.models.parts.anchors import grid_anchors, retinanet_anchors
from sobench.models.parts.boxes import decode, encode
from sobench.models.parts.losses import smooth_l1
from sobench.models.parts.matching import IGNORED, match, matched
from sobench.models.parts.nms import Detections, flatten_predictions, level_topk_candidates, nms
from sobench.models.parts.pyramid import Levels
from sobench.models.parts.roi import (
    Proposals,
    RegionClassifier,
    TwoMLPHead,
    add_gt_proposals,
    best_overlap,
    pooled_strides,
    propose,
)
from sobench.models.parts.sampling import random_sample

LEVELS = Levels(2, 6, extra="subsample")
"""The pyramid levels that the head reads."""

_ANCHOR_STDS = (1.0, 1.0, 1.0, 1.0)
_ANCHOR_SAMPLES, _ANCHOR_SHARE = 256, 0.5
_REGION_STDS = (0.1, 0.1, 0.2, 0.2)
REGION_SHARE = 0.25
"""Of the regions that the second stage trains on, the most that may be objects."""


class RPNHead(nn.Module):
    """Objectness and a box from every anchor; Faster R-CNN, section 3.1.

    A 3x3 convolution with ReLU, then one 1x1 each, shared over the levels and without norm.

    Args:
        channels: of the pyramid; the hidden layer has as many, but no more than the paper's 512.
        num_anchors: anchors to a cell.
    """

    def __init__(self, channels: int, num_anchors: int) -> None:
        super().__init__()
        hidden = min(channels, 512)
        self.hidden = nn.Conv2d(channels, hidden, 3, padding=1)
        self.objectness = nn.Conv2d(hidden, num_anchors, 1)
        self.box_offsets = nn.Conv2d(hidden, num_anchors * 4, 1)
        for conv in (self.hidden, self.objectness, self.box_offsets):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, pyramid: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """``[B, C, h, w]`` of every level -> ``[B, A, h, w]`` and ``[B, A*4, h, w]``."""
        hidden = [F.relu(self.hidden(x), inplace=True) for x in pyramid]
        return [self.objectness(x) for x in hidden], [self.box_offsets(x) for x in hidden]


@dataclass(frozen=True)
class RoITargets:
    """What the second stage should make of the ``N`` regions that it trains on.

    Attributes:
        chosen: ``[B, R]`` bool, the regions; the rest is in their order.
        classes: ``[N]`` int64 in ``0..K``, 0 is the background.
        offsets: ``[N, 4]`` encoded box of the region's object; any if it has none.
    """

    chosen: Tensor
    classes: Tensor
    offsets: Tensor

    def own(self, offsets: Tensor) -> Tensor:
        """Of ``[N, K, 4]`` offsets those of each region's class ``[N, 4]``; any of background."""
        index = (self.classes - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, 4)
        return offsets.gather(1, index).squeeze(1)


class FasterRcnnHead(nn.Module):
    """Two stages: anchors become proposals, and proposals are classified and refined.

    First stage: IoU of .7 and more is an object, below .3 background, and an object takes the
    anchors that it overlaps most, however little (MMDetection: from .3); 256 anchors of an image,
    half of them objects at most, train with binary cross-entropy and L1. Second stage: RoIAlign,
    two fully connected layers, softmax over a background (index 0) and the classes, and a box for
    each class; IoU of .5 parts objects from background, a quarter of the sampled regions are
    objects at most, and cross-entropy and L1 train them. The objects of an image are among its
    regions. All four losses are divided by the sampled anchors or regions of the batch, as in
    MMDetection. Proposals carry no gradient.
    """

    def __init__(
        self, config: DetectorConfig, strides: tuple[int, ...], options: HeadOptions
    ) -> None:
        super().__init__()
        self.config = config
        self.strides = strides
        self.pooled_strides = pooled_strides(strides)
        self.shapes = options.anchors or retinanet_anchors(config.anchors, strides)
        self.box_loss = options.box_loss or smooth_l1
        self.sampler = options.sampler
        channels = options.channels or config.neck.channels
        self.rpn = RPNHead(channels, self.shapes.num_anchors)
        box_head = options.box_head or TwoMLPHead(channels, config.regions.channels)
        self.classifier = RegionClassifier(box_head, config.num_classes)

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """``[B, C, h, w]`` -> ``objectness`` ``[B, A, h, w]``, ``offsets`` ``[B, A*4, h, w]``.

        ``pyramid`` hands the maps themselves on to the second stage.
        """
        objectness, offsets = self.rpn(pyramid)
        return {"objectness": objectness, "offsets": offsets, "pyramid": pyramid}

    def anchors(self, output: HeadOutput) -> Tensor:
        """``[A, 4]`` anchors of all levels, in the order of the flattened predictions."""
        return grid_anchors(output["objectness"], self.strides, self.shapes)

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``objectness`` and ``proposal`` loss of the first stage, ``class`` and ``box`` loss."""
        regions = add_gt_proposals(self.proposals(output), targets)
        return self.anchor_loss(output, targets) | self.region_loss(output, targets, regions)

    def detect(self, output: HeadOutput) -> Detections:
        """The best ``top_k`` pairs of region and class, decoded, clipped and suppressed."""
        proposals = self.proposals(output)
        judged = self.second_stage(output, proposals.boxes, proposals.real)
        return self.postprocess(*self.decode_boxes(proposals.boxes, proposals.real, *judged))

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """The first stage, and the second on as many regions as there may be proposals."""
        most = self.config.regions.post_nms_top_n
        second = self.classifier(self.classifier.flops_inputs(output["pyramid"][0], most))
        return [*output["objectness"], *output["offsets"], *second]

    def proposals(self, output: HeadOutput) -> Proposals:
        """The best anchors of each level, decoded and suppressed."""
        most = self.config.regions.pre_nms_top_n
        offsets = [flatten_predictions(x.detach(), 4) for x in output["offsets"]]
        scores = [flatten_predictions(x.detach(), 1) for x in output["objectness"]]
        levels = level_topk_candidates(scores, offsets, self.anchors(output), _ANCHOR_STDS, most)
        return propose([level[:2] for level in levels], self.config.size, self.config.regions)

    def anchor_loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``objectness`` and ``proposal`` loss, divided by the sampled anchors of the batch."""
        anchors = self.anchors(output)
        logits = torch.cat(
            [flatten_predictions(x, 1).squeeze(-1) for x in output["objectness"]], dim=1
        )
        offsets = torch.cat([flatten_predictions(x, 4) for x in output["offsets"]], dim=1)
        assigned = match(targets, anchors, pos_iou=0.7, neg_iou=0.3)
        sampled = random_sample(assigned, _ANCHOR_SAMPLES, _ANCHOR_SHARE)
        positive = sampled & (assigned >= 0)
        boxes, _ = matched(targets, assigned)
        count = sampled.sum().clamp(min=1)
        objectness = F.binary_cross_entropy_with_logits(
            logits[sampled], positive[sampled].float(), reduction="sum"
        )
        proposal = smooth_l1(offsets, encode(boxes, anchors, _ANCHOR_STDS), positive)
        return {"objectness": objectness / count, "proposal": proposal / count}

    def region_loss(
        self, output: HeadOutput, targets: Targets, regions: Proposals
    ) -> dict[str, Tensor]:
        """``class`` and ``box`` loss, divided by the sampled regions of the batch."""
        wanted = self.select_training_samples(targets, regions)
        logits, offsets = self.second_stage(output, regions.boxes, wanted.chosen)
        count = max(1, len(wanted.classes))
        class_loss = F.cross_entropy(logits, wanted.classes, reduction="sum")
        box_loss = self.box_loss(wanted.own(offsets), wanted.offsets, wanted.classes > 0)
        return {"class": class_loss / count, "box": box_loss / count}

    def select_training_samples(self, targets: Targets, regions: Proposals) -> RoITargets:
        """Regions to train the second stage on, and what it should make of them."""
        assigned = match(targets, regions.boxes, pos_iou=0.5, neg_iou=0.5, low_quality="none")
        assigned = torch.where(regions.real, assigned, IGNORED)
        samples = self.config.regions.batch_size_per_image
        if self.sampler is None:
            chosen = random_sample(assigned, samples, REGION_SHARE)
        else:
            overlap = best_overlap(targets, regions.boxes)
            chosen = self.sampler(assigned, overlap, samples, REGION_SHARE)
        boxes, labels = (x[chosen] for x in matched(targets, assigned))
        classes = torch.where(assigned[chosen] >= 0, labels + 1, 0)
        return RoITargets(chosen, classes, encode(boxes, regions.boxes[chosen], _REGION_STDS))

    def second_stage(
        self, output: HeadOutput, boxes: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits ``[N, K+1]`` and offsets ``[N, K, 4]`` of the ``N`` chosen regions.

        Args:
            boxes: ``[B, R, 4]``; chosen: ``[B, R]`` bool.
        """
        maps = output["pyramid"][: len(self.pooled_strides)]
        return self.classifier.forward_rois(maps, self.pooled_strides, boxes, chosen)

    def decode_boxes(
        self, boxes: Tensor, chosen: Tensor, logits: Tensor, offsets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Boxes ``[B, R, K, 4]`` and scores ``[B, R, K]``; 0, which is never enough, if not chosen.

        Args:
            boxes: ``[B, R, 4]`` regions; chosen: ``[B, R]`` bool, ``N`` of them.
            logits, offsets: of these, as from ``second_stage``.
        """
        shape = (*chosen.shape, self.config.num_classes)
        scores = logits.new_zeros(shape)
        scores[chosen] = logits.softmax(dim=-1)[:, 1:]
        refined = offsets.new_zeros(*shape, 4)
        refined[chosen] = decode(offsets, boxes[chosen].unsqueeze(1), _REGION_STDS)
        return refined, scores

    def postprocess(self, boxes: Tensor, scores: Tensor) -> Detections:
        """The best ``top_k`` of ``[B, R, K, 4]`` boxes by ``[B, R, K]`` scores, suppressed."""
        settings, (_, count, classes) = self.config.detect, scores.shape
        score, pair = scores.flatten(1).topk(min(settings.top_k, count * classes))
        rows = boxes.flatten(1, 2).gather(1, pair.unsqueeze(-1).expand(-1, -1, 4))
        return nms([(rows, score, pair % classes)], self.config.size, settings)


def build(config: DetectorConfig, strides: tuple[int, ...], options: HeadOptions) -> FasterRcnnHead:
    """The head as ``build_head`` finds it."""
    return FasterRcnnHead(config, strides, options)
