"""Heads of an extended pyramid: the suite's head as it is, and one like it for small objects.

Only the ``small`` head reads the finest level, which has half of the suite's finest stride. The
``original`` head reads the others, and the detections of both are suppressed together. EFPN,
arXiv:2003.07021, section IV-A, has Faster R-CNN: its proposals come from the original levels, and
the side of a region, the root of its area, decides which head it gets. Under RetinaNet, which has
no regions, the sides of anchors and of detected boxes decide; that is ours.

Only the ``small`` head has losses here: the other is trained already.
"""

from __future__ import annotations

from copy import deepcopy
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.detector import Head, HeadOptions, HeadOutput
from sobench.models.heads.faster_rcnn import PADDING, ROI_POSITIVE_FRACTION, FasterRCNNHead
from sobench.models.heads.retinanet import RetinaNetHead, match_anchors
from sobench.models.parts.anchors import AnchorLevel, suite_anchors
from sobench.models.parts.chosen import Chosen
from sobench.models.parts.losses import smooth_l1_of_boxes
from sobench.models.parts.nms import Candidates, Detections, nms
from sobench.models.parts.roi import Proposals, add_gt_proposals, box_sides
from sobench.models.parts.whole_batch import whole_count

_HARD_SHARE = 0.25
"""The share of the sampled regions that the new head trains on: the hardest."""


class ExtendedFasterRcnn(nn.Module):
    """Small regions are pooled from the finest level and have a second stage of their own.

    That stage trains on the hardest of the small regions (OHEM, arXiv:1604.03540). Their number is
    ours: the suite's samples are drawn as usual, and a quarter of them is kept.

    Args:
        original: the suite's head.
        small_below: a region is small if its side in pixels is less.
        duplicate: small regions are seen by the original second stage as well.
    """

    def __init__(self, original: FasterRCNNHead, small_below: int, duplicate: bool) -> None:
        super().__init__()
        self.original = original
        self.config = original.config
        self.small = deepcopy(original.classifier)
        self.stride = original.strides[0] // 2
        self.small_below = small_below
        self.duplicate = duplicate

    @property
    def anchor_levels(self) -> tuple[AnchorLevel, ...]:
        """Those of the proposals, which come from the original levels."""
        return self.original.anchor_levels

    def copy_original(self) -> None:
        """Give the small head the weights of the original."""
        self.small.load_state_dict(self.original.classifier.state_dict())

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """The original's predictions, and ``finest``, the ``[B, C, h, w]`` map of small regions."""
        finest, *levels = pyramid
        return {**self.original(levels), "finest": [finest]}

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``class`` and ``box`` loss of hard small regions, divided by their number."""
        regions = self.small_regions(add_gt_proposals(self.original.proposals(output), targets))
        samples = self.original.select_training_samples(targets, regions)
        logits, offsets = self.forward_rois(output, regions.boxes, samples.chosen)
        positive = samples.classes > 0
        class_loss = F.cross_entropy(
            logits, samples.classes, reduction="none", ignore_index=PADDING
        )
        settings, predicted = self.original.config.regions, samples.class_offsets(offsets)
        distance = smooth_l1_of_boxes(predicted, samples.offsets, settings.box_beta)
        box_loss = settings.box_weight * torch.where(positive, distance, 0.0)
        most = int(settings.batch_size_per_image * _HARD_SHARE)
        hard = hard_examples(class_loss, box_loss, positive, samples.chosen, most)
        count = whole_count(hard.sum()).clamp(min=1)
        losses = {"class": class_loss, "box": box_loss}
        return {name: torch.where(hard, x, 0.0).sum() / count for name, x in losses.items()}

    def detect(self, output: HeadOutput) -> Detections:
        """The candidates, clipped to the input, and after NMS."""
        canvas = self.config.canvas(output["finest"][0], self.stride)
        return nms(self.candidates(output), canvas, self.config.detect)

    def candidates(self, output: HeadOutput) -> Candidates:
        """The best ``top_k`` pairs of region and class of both second stages, decoded."""
        head, proposals = self.original, self.original.proposals(output)
        boxes, small_ones = proposals.boxes, self.small_regions(proposals)
        others_real = proposals.real if self.duplicate else proposals.real & ~small_ones.real
        small, others = small_ones.chosen(), Proposals(boxes, others_real).chosen()
        decoded = (
            head.decode_boxes(boxes, others, *head.second_stage(output, boxes, others)),
            head.decode_boxes(boxes, small, *self.forward_rois(output, boxes, small)),
        )
        return head.best_pairs(*(torch.cat(part, dim=1) for part in zip(*decoded, strict=True)))

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """The first stage, and a second stage on as many regions as there may be proposals.

        Each region costs the same in both heads, and passes one of them, or both if duplicated.
        """
        most = self.original.config.regions.post_nms_top_n
        small = self.small(self.small.flops_inputs(output["finest"][0], most))
        if self.duplicate:
            return [*self.original.flops_outputs(output), *small]
        return [*output["objectness"], *output["offsets"], *small]

    def small_regions(self, regions: Proposals) -> Proposals:
        """The same regions, with all but the small ones marked as padding."""
        return Proposals(
            regions.boxes, regions.real & (box_sides(regions.boxes) < self.small_below)
        )

    def forward_rois(
        self, output: HeadOutput, boxes: Tensor, chosen: Chosen
    ) -> tuple[Tensor, Tensor]:
        """As ``second_stage`` of the original, but of the small head, from the finest level."""
        return self.small.forward_rois(output["finest"], (self.stride,), boxes, chosen)


class SingleMapFasterRcnn(nn.Module):
    """The suite's head as it is, but every region is pooled from the same map; it never trains.

    Args:
        original: the suite's head.
        stride: of the map that regions are pooled from.
    """

    def __init__(self, original: FasterRCNNHead, stride: int) -> None:
        super().__init__()
        self.original = original
        self.config = original.config
        self.stride = stride

    @property
    def anchor_levels(self) -> tuple[AnchorLevel, ...]:
        """Those of the original head."""
        return self.original.anchor_levels

    def copy_original(self) -> None:
        """There is no other head."""

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """The original's predictions, and ``single``, the ``[B, C, h, w]`` map of all regions."""
        single, *levels = pyramid
        return {**self.original(levels), "single": [single]}

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Those of the original head for its own levels, whose weights have no gradients."""
        return self.original.loss(output, targets)

    def detect(self, output: HeadOutput) -> Detections:
        """The candidates, clipped to the input, and after NMS."""
        return nms(self.candidates(output), self.original.canvas(output), self.config.detect)

    def candidates(self, output: HeadOutput) -> Candidates:
        """The best ``top_k`` pairs of region and class, decoded."""
        head, proposals = self.original, self.original.proposals(output)
        boxes, chosen = proposals.boxes, proposals.chosen()
        predicted = head.classifier.forward_rois(output["single"], (self.stride,), boxes, chosen)
        return head.best_pairs(*head.decode_boxes(boxes, chosen, *predicted))

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """Both stages; a region costs the same from every map."""
        return [*self.original.flops_outputs(output), *output["single"]]


@torch.no_grad()
def hard_examples(
    class_loss: Tensor, box_loss: Tensor, positive: Tensor, chosen: Chosen, most: int
) -> Tensor:
    """In each image the objects with the highest sum of losses, filled up with background; OHEM.

    Args:
        class_loss, box_loss: ``[N]``; positive: ``[N]`` bool.
        chosen: the ``N`` regions.
        most: regions kept of an image; at most a quarter of them, but at least one, are objects.

    Returns:
        ``[N]`` bool.
    """
    regions, objects = chosen.put(chosen.real), chosen.put(positive)
    quota = torch.full_like(
        regions[:, 0], max(1, int(most * ROI_POSITIVE_FRACTION)), dtype=torch.int64
    )
    hard = _highest(chosen.put(class_loss + box_loss), objects, quota)
    others = regions & ~objects
    hard = hard | _highest(chosen.put(class_loss), others, most - hard.sum(dim=1))
    return chosen.take(hard)


def _highest(values: Tensor, pool: Tensor, quota: Tensor) -> Tensor:
    """The ``quota`` ``[B]`` places of ``pool`` ``[B, R]`` with the highest values."""
    order = torch.where(pool, values, -torch.inf).argsort(dim=1, descending=True, stable=True)
    return pool & (order.argsort(dim=1) < quota.unsqueeze(1))


class ExtendedRetinaNet(nn.Module):
    """Anchors of half the finest stride, with separate towers and predictions.

    Objects are matched with the anchors of all levels. So a large object, which no tiny anchor
    overlaps well enough, is background to the tiny anchors and is not forced upon one of them.

    Args:
        original: the suite's head.
        duplicate: boxes of every side count. Otherwise boxes of the small head above the border and
            boxes of the original below it are dropped. The border is the geometric mean of the
            original's smallest anchor and the finest level's largest.
    """

    def __init__(self, original: RetinaNetHead, duplicate: bool) -> None:
        super().__init__()
        self.original = original
        self.config = original.config
        anchors = suite_anchors(original.config.anchors, levels=0, finer=1)
        stride = original.strides[0] // 2
        self.small = RetinaNetHead(original.config, (stride,), HeadOptions(anchors=anchors))
        self.duplicate = duplicate
        self.border = sqrt(
            min(original.anchor_spec.sides[0]) * max(self.small.anchor_spec.sides[0])
        )
        self.copy_original()

    @property
    def anchor_levels(self) -> tuple[AnchorLevel, ...]:
        """Those of the finest level, then the original's."""
        return self.small.anchor_levels + self.original.anchor_levels

    def copy_original(self) -> None:
        """Give the small head the weights of the original."""
        self.small.load_state_dict(self.original.state_dict())

    def forward(self, pyramid: list[Tensor]) -> HeadOutput:
        """The predictions of all levels, finest first: of the small head, then of the original."""
        small, original = self.small(pyramid[:1]), self.original(pyramid[1:])
        return {name: [*small[name], *original[name]] for name in small}

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """``class`` and ``box`` loss of the finest level, divided by its matched anchors."""
        small, original = _split_finest(output)
        anchors = self.small.anchors(small)
        matches = match_anchors(targets, torch.cat((anchors, self.original.anchors(original))))
        return self.small.matched_loss(small, targets, anchors, matches[:, : len(anchors)])

    def detect(self, output: HeadOutput) -> Detections:
        """The candidates, clipped to the input, and after NMS."""
        canvas = self.config.canvas(output["logits"][0], self.small.strides[0])
        return nms(self.candidates(output), canvas, self.config.detect)

    def candidates(self, output: HeadOutput) -> Candidates:
        """The best ``top_k`` of each level, decoded; those of a wrong side have a score of 0."""
        small, original = _split_finest(output)
        return [
            (boxes, torch.where(self.accepts(box_sides(boxes), finest), scores, 0.0), labels)
            for head, maps, finest in ((self.small, small, True), (self.original, original, False))
            for boxes, scores, labels in head.candidates(maps)
        ]

    def flops_outputs(self, output: HeadOutput) -> list[Tensor]:
        """All predictions."""
        return self.original.flops_outputs(output)

    def accepts(self, sides: Tensor, finest: bool) -> Tensor:
        """Whether boxes of these sides may come from the finest level, or from the others."""
        if self.duplicate:
            return torch.ones_like(sides, dtype=torch.bool)
        return (sides < self.border) == finest


def _split_finest(output: HeadOutput) -> tuple[HeadOutput, HeadOutput]:
    """The predictions of the finest level, and of the others."""
    return (
        {name: maps[:1] for name, maps in output.items()},
        {name: maps[1:] for name, maps in output.items()},
    )


ExtendedHead = ExtendedFasterRcnn | ExtendedRetinaNet


def extended_head(original: Head, small_below: int, duplicate: bool) -> ExtendedHead:
    """The suite's head with one for the finest level; only Faster R-CNN uses ``small_below``."""
    if isinstance(original, FasterRCNNHead):
        return ExtendedFasterRcnn(original, small_below, duplicate)
    assert isinstance(original, RetinaNetHead)
    return ExtendedRetinaNet(original, duplicate)
