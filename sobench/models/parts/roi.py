"""Regions of a two-stage head: how they are proposed, pooled and classified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from sobench.data.targets import Targets
from sobench.models.detector import BoxHead
from sobench.models.parts.boxes import box_iou, clip, constant
from sobench.models.parts.chosen import Chosen, choose, has_fixed_sizes
from sobench.models.parts.class_layers import ClassLayer
from sobench.models.parts.pyramid import TOP
from sobench.models.parts.suppression import survivors
from sobench.suite.network import Regions

_CANONICAL = 224
"""Side in pixels of a region that is pooled from level 4; FPN, Eq. 1."""


@dataclass(frozen=True)
class Proposals:
    """Padded regions of a batch, highest objectness first.

    Attributes:
        boxes: ``[B, P, 4]`` float ``x1, y1, x2, y2`` in pixels of the network input; padding is 0.
        real: ``[B, P]`` bool, false for padding.
    """

    boxes: Tensor
    real: Tensor

    def chosen(self) -> Chosen:
        """The regions that are not padding."""
        return choose(self.real, self.real.shape[1])


@torch.no_grad()
def filter_proposals(
    levels: Sequence[tuple[Tensor, Tensor]], size: tuple[int, int], settings: Regions
) -> Proposals:
    """Non-maximum suppression within each level of each image, then the best of each image.

    Args:
        levels: of each level decoded boxes ``[B, N, 4]`` and their objectness ``[B, N]``.
        size: (height, width) of the network input, to which boxes are clipped; boxes without area
            are dropped.
    """
    boxes, scores = (torch.cat(part, dim=1) for part in zip(*levels, strict=True))
    # Clip first, so that a box outside the input has no area, by which it is dropped. Comparisons
    # with NaN are false, so boxes that are not numbers are dropped as well.
    boxes = clip(boxes, size)
    real = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
    counts = [s.shape[1] for _, s in levels]
    survives = survivors(boxes.double(), scores.double(), real, counts, settings.nms)
    # One top-k for the batch: suppressed boxes rank last, and become padding if boxes run out.
    scores = torch.where(survives, scores, -torch.inf)
    scores, best = scores.topk(min(settings.post_nms_top_n, scores.shape[1]))
    real = scores > -torch.inf
    boxes = boxes.gather(1, best.unsqueeze(-1).expand(-1, -1, 4))
    return Proposals(torch.where(real.unsqueeze(-1), boxes, 0.0), real)


def add_gt_proposals(proposals: Proposals, targets: Targets) -> Proposals:
    """Add the objects themselves as proposals, so that every object has a positive region."""
    return Proposals(
        torch.cat((proposals.boxes, targets.boxes), dim=1),
        torch.cat((proposals.real, targets.labels >= 0), dim=1),
    )


@torch.no_grad()
def best_iou(targets: Targets, boxes: Tensor) -> Tensor:
    """IoU ``[B, R]`` of ``[B, R, 4]`` boxes with the object that each overlaps most."""
    iou = box_iou(targets.boxes, boxes)
    return iou.mul_((targets.labels >= 0).unsqueeze(-1)).amax(dim=1)


def pooled_strides(strides: Sequence[int]) -> tuple[int, ...]:
    """Strides of the levels that regions are pooled from: those up to the backbone's last.

    The fifth level of FPN only subsamples the fourth, for proposals alone (section 4.1).
    """
    return tuple(stride for stride in strides if stride <= 2**TOP)


def box_sides(boxes: Tensor) -> Tensor:
    """Square roots of the areas of ``[..., 4]`` boxes: ``[...]``."""
    width, height = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).unbind(dim=-1)
    return (width * height).sqrt()


def roi_levels(boxes: Tensor, strides: Sequence[int]) -> Tensor:
    """Index into ``strides`` of level ``floor(4 + log2(sqrt(w * h) / 224))``; FPN, Eq. 1.

    Args:
        boxes: ``[N, 4]`` in pixels.
        strides: successive powers of two, finest first; a region beyond them goes to the nearest.

    Returns:
        ``[N]`` int64.
    """
    side = box_sides(boxes)
    # A tiny shift keeps sides of exactly 112 or 224 from being rounded to the level below.
    level = (4 + (side / _CANONICAL).log2() + 1e-6).floor()
    return (level - log2(strides[0])).clamp(0, len(strides) - 1).long()


def multiscale_roi_align(
    maps: Sequence[Tensor], strides: Sequence[int], boxes: Tensor, image: Tensor, resolution: int
) -> Tensor:
    """RoIAlign of every region from its level; Mask R-CNN, arXiv:1703.06870, section 3.

    Boxes are shifted by half a cell, so that cells are centred where their pixels are
    (``aligned``), and each bin is the mean of 2 x 2 bilinear samples.

    Args:
        maps: ``[B, C, h, w]``, one for each of ``strides``.
        boxes: ``[N, 4]`` in pixels of the input; no gradient reaches them.
        image: ``[N]`` index in the batch of the image that a box belongs to.

    Returns:
        ``[N, C, resolution, resolution]``.
    """
    boxes = boxes.detach()
    level = roi_levels(boxes, strides)
    if has_fixed_sizes(boxes.device):
        return _joint_roi_align(maps, strides, boxes, image, level, resolution)
    rois = torch.cat((image.unsqueeze(1).to(boxes.dtype), boxes), dim=1)
    # Sorted by level, so that each level is pooled once and one index restores the order.
    order = level.argsort(stable=True)
    counts = (level.unsqueeze(1) == torch.arange(len(strides), device=level.device)).sum(dim=0)
    rois_by_level = torch.split(rois[order], counts.tolist())
    pooled = [
        roi_align(x, level_rois, resolution, 1 / stride, sampling_ratio=2, aligned=True)
        for x, level_rois, stride in zip(maps, rois_by_level, strides, strict=True)
    ]
    return torch.cat(pooled)[order.argsort()]


def _joint_roi_align(
    maps: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Tensor,
    image: Tensor,
    level: Tensor,
    resolution: int,
) -> Tensor:
    """As ``multiscale_roi_align``, from one map that holds all levels, one below the other.

    So nobody has to know how many regions a level has. The numbers differ by rounding alone, since
    coordinates below other levels have fewer digits behind the point.

    Args:
        level: ``[N]`` int64, index of the level that a region is pooled from.
    """
    # RoIAlign reads half a cell beyond a map as its outermost cell, which is repeated here.
    padded = [F.pad(x.float(), (1, 1, 1, 1), mode="replicate") for x in maps]
    width = max(x.shape[-1] for x in padded)
    joint = torch.cat([F.pad(x, (0, width - x.shape[-1])) for x in padded], dim=2)
    heights = [x.shape[-2] for x in padded]
    tops = tuple(float(sum(heights[:index]) + 1) for index in range(len(heights)))
    top = constant(tops, boxes.dtype, boxes.device)[level].unsqueeze(1)
    scale = constant(tuple(1 / s for s in strides), boxes.dtype, boxes.device)[level].unsqueeze(1)
    x, y = boxes[:, 0::2] * scale + 1, boxes[:, 1::2] * scale + top
    cells = torch.stack((x, y), dim=2).flatten(1)
    rois = torch.cat((image.unsqueeze(1).to(boxes.dtype), cells), dim=1)
    pooled: Tensor = roi_align(joint, rois, resolution, 1.0, sampling_ratio=2, aligned=True)
    return pooled.to(maps[0].dtype)


class TwoMLPHead(nn.Module):
    """Two fully connected layers with ReLU; FPN, section 4.2.

    Args:
        inputs: channels of the pyramid.
        channels: width of both layers.
    """

    resolution = 7

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.outputs = channels
        self.first = nn.Linear(inputs * self.resolution**2, channels)
        self.second = nn.Linear(channels, channels)
        self.first_relu = nn.ReLU(inplace=True)
        self.second_relu = nn.ReLU(inplace=True)
        for layer in (self.first, self.second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """``[N, C, 7, 7]`` -> ``[N, channels]``."""
        hidden = self.first_relu(self.first(pooled.flatten(1)))
        return self.second_relu(self.second(hidden))  # type: ignore[no-any-return]


class RoIClassifier(nn.Module):
    """Class and box of every region: a box head, then a linear layer for each of the two.

    Args:
        box_head: turns pooled regions into vectors.
        num_classes: without the background, whose logit is the first.
    """

    def __init__(self, box_head: BoxHead, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.box_head: BoxHead = box_head
        self.class_logits = nn.Linear(box_head.outputs, num_classes + 1)
        self.box_offsets = nn.Linear(box_head.outputs, num_classes * 4)
        for layer, std in ((self.class_logits, 0.01), (self.box_offsets, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """``[N, C, r, r]`` -> logits ``[N, K+1]`` and offsets ``[N, K, 4]``, in float32."""
        features = self.box_head(pooled)
        logits, offsets = self.class_logits(features), self.box_offsets(features)
        return logits.float(), offsets.float().view(-1, self.num_classes, 4)

    def class_layers(self) -> dict[str, ClassLayer]:
        """The layers that predict classes, or boxes for each of them."""
        return {"class_logits": ClassLayer(background=True), "box_offsets": ClassLayer(values=4)}

    def forward_rois(
        self, maps: Sequence[Tensor], strides: Sequence[int], boxes: Tensor, chosen: Chosen
    ) -> tuple[Tensor, Tensor]:
        """``forward`` of the ``N`` chosen regions, each pooled from its level.

        Args:
            maps: ``[B, C, h, w]``, one for each of ``strides``.
            boxes: ``[B, R, 4]``; chosen: among the ``R`` regions of each image.
        """
        resolution = self.box_head.resolution
        pooled = multiscale_roi_align(maps, strides, chosen.take(boxes), chosen.image, resolution)
        logits, offsets = self(pooled)
        return logits, offsets

    def flops_inputs(self, finest: Tensor, regions: int) -> Tensor:
        """``[B * regions, C, r, r]`` inputs on which to count the multiply-adds of ``forward``.

        The count does not depend on which regions these are, nor on their levels.

        Args:
            finest: ``[B, C, h, w]``, the map that the inputs are pooled from.
            regions: number of regions per image.
        """
        rois = finest.new_zeros(len(finest) * regions, 5)
        pooled: Tensor = roi_align(finest, rois, self.box_head.resolution, sampling_ratio=2)
        return pooled
