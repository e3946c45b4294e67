"""The Faster R-CNN head: proposals, and their classification; arXiv:1506.01497, 1612.03144."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import DetectorConfig, HeadOptions, HeadOutput, refuse_options
from sobench.models.parts.anchors import AnchorLevel, anchor_levels, grid_anchors, suite_anchors
from sobench.models.parts.boxes import decode, encode
from sobench.models.parts.chosen import Chosen, choose
from sobench.models.parts.losses import smooth_l1
from sobench.models.parts.matching import IGNORED, match, matched_targets
from sobench.models.parts.nms import (
    Candidates,
    Detections,
    flatten_predictions,
    level_topk_candidates,
    nms,
)
from sobench.models.parts.pyramid import Levels
from sobench.models.parts.roi import (
    Proposals,
    RoIClassifier,
    TwoMLPHead,
    add_gt_proposals,
    best_iou,
    filter_proposals,
    pooled_strides,
)
from sobench.models.parts.sampling import random_sample
from sobench.models.parts.whole_batch import whole_count

LEVELS = Levels(2, 6, extra="subsample")
"""The pyramid levels that the head reads."""

_RPN_STDS = (1.0, 1.0, 1.0, 1.0)
_RPN_SAMPLES, _RPN_POSITIVE_FRACTION = 256, 0.5
_ROI_STDS = (0.1, 0.1, 0.2, 0.2)
ROI_POSITIVE_FRACTION = 0.25
"""Largest fraction of objects among the regions that the second stage trains on."""


class RPNHead(nn.Module):
    """Objectness and a box from every anchor; Faster R-CNN, section 3.1.

    A 3x3 convolution with ReLU is followed by a 1x1 convolution for each of the two. They are
    shared over the levels and have no norm.

    Args:
        channels: of the pyramid; the hidden layer has as many, but no more than the paper's 512.
        num_anchors: anchors per cell.
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


PADDING = -100
"""Class that cross-entropy leaves out."""


@dataclass(frozen=True)
class RoITargets:
    """Targets of the ``N`` regions that the second stage trains on.

    Attributes:
        chosen: the regions; the other attributes follow their order.
        classes: ``[N]`` int64 in ``0..K``, 0 is the background; ``PADDING`` for padding.
        offsets: ``[N, 4]`` encoded box of the region's object; arbitrary for background.
    """

    chosen: Chosen
    classes: Tensor
    offsets: Tensor

    def class_offsets(self, offsets: Tensor) -> Tensor:
        """Select from ``[N, K, 4]`` offsets those of each region's class: ``[N, 4]``.

        The result is arbitrary for background.
        """
        index = (self.classes - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, 4)
        return offsets.gather(1, index).squeeze(1)


class FasterRCNNHead(nn.Module):
    """Two stages: anchors become proposals, and proposals are classified and refined.

    First stage: an anchor is an object from an IoU of .7 and background below .3; an object also
    takes the anchors that it overlaps most, however little (MMDetection: from .3). 256 anchors of
    an image, at most half of them objects, train with binary cross-entropy and smooth L1.

    Second stage: RoIAlign, two fully connected layers, softmax over a background (index 0) and the
    classes, and a box for each class. A region is an object from an IoU of .5 and background below.
    At most a quarter of the sampled regions are objects; they train with cross-entropy and smooth
    L1. The objects of an image are among its regions. The suite's ``regions`` hold the knee of
    smooth L1 for each stage, by default 0 (plain L1), and the weight of both.

    All four losses are divided by the sampled anchors or regions of the batch, as in MMDetection.
    Proposals carry no gradient.

    Raises:
        ValueError: ``options`` has ``level_norm``, ``tower_convs`` or ``upsample``.
    """

    def __init__(
        self, config: DetectorConfig, strides: tuple[int, ...], options: HeadOptions
    ) -> None:
        super().__init__()
        refuse_options("FasterRCNNHead", options, ("level_norm", "tower_convs", "upsample"))
        self.config = config
        self.strides = strides
        self.pooled_strides = pooled_strides(strides)
        self.anchor_spec = options.anchors or suite_anchors(config.anchors, len(strides))
        self.box_loss = options.box_loss or partial(smooth_l1, beta=config.regions.box_beta)
        self.sampler = options.sampler
        channels = options.channels or config.neck.channels
        self.rpn = RPNHead(channels, self.anchor_spec.num_anchors)
        box_head = options.box_head or TwoMLPHead(channels, config.regions.channels)
        self.classifier = RoIClassifier(box_head, config.num_classes)

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """``[B, C, h, w]`` -> ``objectness`` ``[B, A, h, w]``, ``offsets`` ``[B, A*4, h, w]``.

        ``pyramid`` passes the maps themselves on to the second stage.
        """
        objectness, offsets = self.rpn(pyramid)
        return {"objectness": objectness, "offsets": offsets, "pyramid": pyramid}

    @property
    def anchor_levels(self) -> tuple[AnchorLevel, ...]:
        """The anchors of each level, finest first."""
        return anchor_levels(self.strides, self.anchor_spec)

    def anchors(self, output: HeadOutput) -> Tensor:
        """``[A, 4]`` anchors of all levels, in the order of the flattened predictions."""
        return grid_anchors(output["objectness"], self.strides, self.anchor_spec)

    def canvas(self, output: HeadOutput) -> tuple[int, int]:
        """(height, width) of the network input."""
        return self.config.canvas(output["objectness"][0], self.strides[0])

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``objectness`` and ``proposal`` loss of stage one, ``class`` and ``box`` of stage two."""
        regions = add_gt_proposals(self.proposals(output), targets)
        return self.anchor_loss(output, targets) | self.region_loss(output, targets, regions)

    def detect(self, output: HeadOutput) -> Detections:
        """The candidates, clipped to the input, and after NMS."""
        return nms(self.candidates(output), self.canvas(output), self.config.detect)

    def candidates(self, output: HeadOutput) -> Candidates:
        """The best ``top_k`` pairs of region and class of the image, decoded."""
        proposals = self.proposals(output)
        regions, chosen = proposals.boxes, proposals.chosen()
        logits, offsets = self.second_stage(output, regions, chosen)
        return self.best_pairs(*self.decode_boxes(regions, chosen, logits, offsets))

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """The first stage, and the second with the largest number of proposals."""
        finest, num_regions = output["pyramid"][0], self.config.regions.post_nms_top_n
        second = self.classifier(self.classifier.flops_inputs(finest, num_regions))
        return [*output["objectness"], *output["offsets"], *second]

    def proposals(self, output: HeadOutput) -> Proposals:
        """The best anchors of each level, decoded, clipped, and after NMS."""
        settings = self.config.regions
        offsets = [flatten_predictions(x.detach(), 4) for x in output["offsets"]]
        scores = [flatten_predictions(x.detach(), 1) for x in output["objectness"]]
        levels = level_topk_candidates(
            scores, offsets, self.anchors(output), _RPN_STDS, settings.pre_nms_top_n
        )
        # Objectness is the only class, so labels say nothing.
        candidates = [(boxes, objectness) for boxes, objectness, _ in levels]
        return filter_proposals(candidates, self.canvas(output), settings)

    def anchor_loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``objectness`` and ``proposal`` loss, divided by the sampled anchors of the batch."""
        anchors = self.anchors(output)
        logits = torch.cat(
            [flatten_predictions(x, 1).squeeze(-1) for x in output["objectness"]], dim=1
        )
        offsets = torch.cat([flatten_predictions(x, 4) for x in output["offsets"]], dim=1)
        # Nearly all anchors are background; a sample keeps them from outweighing the objects.
        matches = match(targets, anchors, pos_iou=0.7, neg_iou=0.3)
        sampled = random_sample(matches, _RPN_SAMPLES, _RPN_POSITIVE_FRACTION)
        chosen = choose(sampled, _RPN_SAMPLES)
        positive = sampled & (matches >= 0)
        num_sampled = whole_count(sampled.sum()).clamp(min=1)
        # Background has no box, so only the positives of the sample have a box loss.
        boxes, _ = matched_targets(targets, matches)
        objectness = F.binary_cross_entropy_with_logits(
            chosen.take(logits), chosen.take(positive).float(), chosen.real.float(),
            reduction="sum",
        )  # fmt: skip
        settings, encoded = self.config.regions, encode(boxes, anchors, _RPN_STDS)
        proposal = settings.box_weight * smooth_l1(offsets, encoded, positive, settings.rpn_beta)
        return {"objectness": objectness / num_sampled, "proposal": proposal / num_sampled}

    def region_loss(
        self, output: HeadOutput, targets: Targets, regions: Proposals
    ) -> dict[str, Tensor]:
        """``class`` and ``box`` loss, divided by the sampled regions of the batch."""
        samples = self.select_training_samples(targets, regions)
        logits, offsets = self.second_stage(output, regions.boxes, samples.chosen)
        class_loss = F.cross_entropy(logits, samples.classes, reduction="sum", ignore_index=PADDING)
        # Only the offsets of its object's class train on a region's box.
        predicted, positive = samples.class_offsets(offsets), samples.classes > 0
        box_loss = self.config.regions.box_weight * self.box_loss(
            predicted, samples.offsets, positive
        )
        num_samples = whole_count(samples.chosen.real.sum()).clamp(min=1)
        return {"class": class_loss / num_samples, "box": box_loss / num_samples}

    def select_training_samples(self, targets: Targets, regions: Proposals) -> RoITargets:
        """Regions to train the second stage on, with their classes and boxes."""
        # Padding must not be sampled as background.
        matches = match(targets, regions.boxes, pos_iou=0.5, neg_iou=0.5, low_quality="none")
        matches = torch.where(regions.real, matches, IGNORED)
        num_samples = self.config.regions.batch_size_per_image
        if self.sampler is None:
            sampled = random_sample(matches, num_samples, ROI_POSITIVE_FRACTION)
        else:
            iou = best_iou(targets, regions.boxes)
            sampled = self.sampler(matches, iou, num_samples, ROI_POSITIVE_FRACTION)
        # Only the chosen regions are encoded, pooled and classified.
        chosen = choose(sampled, num_samples)
        boxes, labels = (chosen.take(x) for x in matched_targets(targets, matches))
        classes = torch.where(chosen.take(matches) >= 0, labels + 1, 0)
        classes = torch.where(chosen.real, classes, PADDING)
        # Padding may have no area to encode by, and must not become infinite.
        offsets = encode(boxes, chosen.take(regions.boxes), _ROI_STDS)
        return RoITargets(chosen, classes, torch.where(chosen.real.unsqueeze(1), offsets, 0.0))

    def second_stage(
        self, output: HeadOutput, boxes: Tensor, chosen: Chosen
    ) -> tuple[Tensor, Tensor]:
        """Logits ``[N, K+1]`` and offsets ``[N, K, 4]`` of the ``N`` chosen regions.

        Args:
            boxes: ``[B, R, 4]``; chosen: among the ``R`` regions of each image.
        """
        maps = output["pyramid"][: len(self.pooled_strides)]
        return self.classifier.forward_rois(maps, self.pooled_strides, boxes, chosen)

    def decode_boxes(
        self, boxes: Tensor, chosen: Chosen, logits: Tensor, offsets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Boxes ``[B, R, K, 4]`` and scores ``[B, R, K]``; both are 0 for regions not chosen.

        A score of 0 never exceeds the threshold of ``nms``.

        Args:
            boxes: ``[B, R, 4]`` regions; chosen: ``N`` of them.
            logits, offsets: of these, as from ``second_stage``.
        """
        scores = logits.softmax(dim=-1)[:, 1:]
        refined = decode(offsets, chosen.take(boxes).unsqueeze(1), _ROI_STDS)
        return chosen.put(refined), chosen.put(scores)

    def best_pairs(self, boxes: Tensor, scores: Tensor) -> Candidates:
        """The best ``top_k`` of ``[B, R, K, 4]`` boxes by ``[B, R, K]`` scores."""
        top_k, (_, num_regions, num_classes) = self.config.detect.top_k, scores.shape
        top_scores, pairs = scores.flatten(1).topk(min(top_k, num_regions * num_classes))
        top_boxes = boxes.flatten(1, 2).gather(1, pairs.unsqueeze(-1).expand(-1, -1, 4))
        return [(top_boxes, top_scores, pairs % num_classes)]


def build(config: DetectorConfig, strides: tuple[int, ...], options: HeadOptions) -> FasterRCNNHead:
    """The head; called by ``build_head``."""
    return FasterRCNNHead(config, strides, options)
