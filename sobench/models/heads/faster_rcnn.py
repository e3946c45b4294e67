"""The Faster R-CNN head: proposals, then a closer look at each; arXiv:1506.01497, 1612.03144."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from sobench.data.targets import Targets
from sobench.models.boxes import (
    IGNORED,
    Detections,
    assign,
    decode,
    encode,
    flat,
    level_candidates,
    map_anchors,
    matched,
    octave_shapes,
    suppress,
)
from sobench.models.detector import Blueprint, HeadOptions, HeadOutput, RegionHead
from sobench.models.losses import smooth_l1
from sobench.models.pyramid import Levels
from sobench.models.regions import (
    Proposals,
    TwoFullyConnected,
    best_overlap,
    pool_regions,
    pooled_strides,
    propose,
    with_objects,
)
from sobench.models.sampling import random_sample

LEVELS = Levels(2, 6, extra="subsample")
"""The pyramid levels that the head reads."""

_ANCHOR_STDS = (1.0, 1.0, 1.0, 1.0)
_ANCHOR_SAMPLES, _ANCHOR_SHARE = 256, 0.5
_REGION_STDS = (0.1, 0.1, 0.2, 0.2)
_REGION_SHARE = 0.25


class ProposalNetwork(nn.Module):
    """Objectness and a box from every anchor; Faster R-CNN, section 3.1.

    A 3x3 convolution with ReLU, then one 1x1 each, shared over the levels and without norm.

    Args:
        channels: of the pyramid; the hidden layer has as many, but no more than the paper's 512.
        per_cell: anchors to a cell.
    """

    def __init__(self, channels: int, per_cell: int) -> None:
        super().__init__()
        hidden = min(channels, 512)
        self.hidden = nn.Conv2d(channels, hidden, 3, padding=1)
        self.objectness = nn.Conv2d(hidden, per_cell, 1)
        self.box_offsets = nn.Conv2d(hidden, per_cell * 4, 1)
        for conv in (self.hidden, self.objectness, self.box_offsets):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, pyramid: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """``[B, C, h, w]`` of every level -> ``[B, A, h, w]`` and ``[B, A*4, h, w]``."""
        hidden = [F.relu(self.hidden(x), inplace=True) for x in pyramid]
        return [self.objectness(x) for x in hidden], [self.box_offsets(x) for x in hidden]


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
        self, blueprint: Blueprint, strides: tuple[int, ...], options: HeadOptions
    ) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.strides = strides
        self.pooled_strides = pooled_strides(strides)
        self.shapes = options.anchors or octave_shapes(blueprint.anchors, strides)
        self.box_loss = options.box_loss or smooth_l1
        self.sampler = options.sampler
        channels = options.channels or blueprint.neck.channels
        self.proposal_network = ProposalNetwork(channels, self.shapes.per_cell)
        self.region_head: RegionHead = options.region_head or TwoFullyConnected(
            channels, blueprint.regions.channels
        )
        outputs = self.region_head.outputs
        self.class_logits = nn.Linear(outputs, blueprint.classes + 1)
        self.box_offsets = nn.Linear(outputs, blueprint.classes * 4)
        for layer, std in ((self.class_logits, 0.01), (self.box_offsets, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """``[B, C, h, w]`` -> ``objectness`` ``[B, A, h, w]``, ``offsets`` ``[B, A*4, h, w]``.

        ``pyramid`` hands the maps themselves on to the second stage.
        """
        objectness, offsets = self.proposal_network(pyramid)
        return {"objectness": objectness, "offsets": offsets, "pyramid": pyramid}

    def anchors(self, output: HeadOutput) -> Tensor:
        """``[A, 4]`` anchors of all levels, in the order of the flattened predictions."""
        return map_anchors(output["objectness"], self.strides, self.shapes)

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``objectness`` and ``proposal`` loss of the first stage, ``class`` and ``box`` loss."""
        regions = with_objects(self.proposals(output), targets)
        return self.anchor_loss(output, targets) | self.region_loss(output, targets, regions)

    def detect(self, output: HeadOutput) -> Detections:
        """The best ``top_k`` pairs of region and class, decoded, clipped and suppressed."""
        settings, classes = self.blueprint.detect, self.blueprint.classes
        proposals = self.proposals(output)
        batch, count = proposals.real.shape
        logits, offsets = self.second_stage(output, proposals.boxes, proposals.real)
        scores = logits.new_zeros(batch, count, classes)  # padding keeps 0, which is never enough
        scores[proposals.real] = logits.softmax(dim=-1)[:, 1:]
        boxes = offsets.new_zeros(batch, count, classes, 4)
        regions = proposals.boxes[proposals.real].unsqueeze(1)
        boxes[proposals.real] = decode(offsets, regions, _REGION_STDS)
        score, pair = scores.flatten(1).topk(min(settings.top_k, count * classes))
        best = boxes.flatten(1, 2).gather(1, pair.unsqueeze(-1).expand(-1, -1, 4))
        return suppress([(best, score, pair % classes)], self.blueprint.size, settings)

    def workload(self, output: HeadOutput) -> list[Tensor]:
        """The first stage, and the second on as many regions as there may be proposals.

        Which regions they are, and so from which level, makes no difference to the products.
        """
        finest = output["pyramid"][0]
        count = len(finest) * self.blueprint.regions.proposals
        resolution = self.region_head.resolution
        pooled = roi_align(finest, finest.new_zeros(count, 5), resolution, sampling_ratio=2)
        return [*output["objectness"], *output["offsets"], *self.classify(pooled)]

    def proposals(self, output: HeadOutput) -> Proposals:
        """The best anchors of each level, decoded and suppressed."""
        most = self.blueprint.regions.candidates
        offsets = [flat(x.detach(), 4) for x in output["offsets"]]
        scores = [flat(x.detach(), 1) for x in output["objectness"]]
        levels = level_candidates(scores, offsets, self.anchors(output), _ANCHOR_STDS, most)
        return propose([level[:2] for level in levels], self.blueprint.size, self.blueprint.regions)

    def anchor_loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``objectness`` and ``proposal`` loss, divided by the sampled anchors of the batch."""
        anchors = self.anchors(output)
        logits = torch.cat([flat(x, 1).squeeze(-1) for x in output["objectness"]], dim=1)
        offsets = torch.cat([flat(x, 4) for x in output["offsets"]], dim=1)
        assigned = assign(targets, anchors, positive=0.7, negative=0.3)
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
        assigned = assign(targets, regions.boxes, positive=0.5, negative=0.5, rescue="none")
        assigned = torch.where(regions.real, assigned, IGNORED)
        samples = self.blueprint.regions.samples
        if self.sampler is None:
            sampled = random_sample(assigned, samples, _REGION_SHARE)
        else:
            overlap = best_overlap(targets, regions.boxes)
            sampled = self.sampler(assigned, overlap, samples, _REGION_SHARE)
        boxes, labels = (x[sampled] for x in matched(targets, assigned))
        positive = assigned[sampled] >= 0
        logits, offsets = self.second_stage(output, regions.boxes, sampled)
        own = offsets.gather(1, labels.view(-1, 1, 1).expand(-1, 1, 4)).squeeze(1)
        wanted = encode(boxes, regions.boxes[sampled], _REGION_STDS)
        classes = torch.where(positive, labels + 1, 0)
        count = max(1, len(positive))
        return {
            "class": F.cross_entropy(logits, classes, reduction="sum") / count,
            "box": self.box_loss(own, wanted, positive) / count,
        }

    def second_stage(
        self, output: HeadOutput, boxes: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits ``[N, K+1]`` and offsets ``[N, K, 4]`` of the ``N`` chosen regions.

        Args:
            boxes: ``[B, R, 4]``; chosen: ``[B, R]`` bool.
        """
        maps = output["pyramid"][: len(self.pooled_strides)]
        image = chosen.nonzero()[:, 0]
        pooled = pool_regions(
            maps, self.pooled_strides, boxes[chosen], image, self.region_head.resolution
        )
        return self.classify(pooled)

    def classify(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """``[N, C, r, r]`` -> logits ``[N, K+1]`` and offsets ``[N, K, 4]``, in float32."""
        features = self.region_head(pooled)
        offsets = self.box_offsets(features).view(-1, self.blueprint.classes, 4)
        return self.class_logits(features).float(), offsets.float()


def build(blueprint: Blueprint, strides: tuple[int, ...], options: HeadOptions) -> FasterRcnnHead:
    """The head as ``build_head`` finds it."""
    return FasterRcnnHead(blueprint, strides, options)
