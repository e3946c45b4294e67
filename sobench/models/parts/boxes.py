"""Anchors, box coding, assignment and suppression: batched, and shared by every head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from sobench.data.targets import Targets
from sobench.suite.sections import Anchors, Detect

NEGATIVE = -1
"""Assignment of an anchor that is background."""
IGNORED = -2
"""Assignment of an anchor that takes no part in the loss."""

MAX_PAIRS = 2**25
"""Anchor-object pairs held at once in assignment: bounds memory when an image holds 900 objects."""

_MAX_LOG_GROWTH = log(1000 / 16)  # an anchor may grow 62.5 times, as in Fast R-CNN code


@dataclass(frozen=True)
class Detections:
    """Padded detections of a batch, best first.

    Attributes:
        boxes: ``[B, D, 4]`` float ``x1, y1, x2, y2`` in pixels of the network input.
        scores: ``[B, D]`` in 0..1.
        labels: ``[B, D]`` int64 in ``0..K-1``, ``-1`` for padding.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


@dataclass(frozen=True)
class AnchorShapes:
    """The anchors of a cell, for every level.

    Attributes:
        sides: of each level, finest first, the square roots of the anchors' areas in pixels.
        ratios: height over width.
        offset: where in its cell an anchor is centred: 0 its corner (MMDetection 2 and later), .5
            its middle.
    """

    sides: tuple[tuple[float, ...], ...]
    ratios: tuple[float, ...]
    offset: float = 0.0

    @property
    def per_cell(self) -> int:
        """Anchors to a cell; every level has as many."""
        return len(self.sides[0]) * len(self.ratios)


def octave_shapes(settings: Anchors, strides: Sequence[int]) -> AnchorShapes:
    """Sides of ``scale * stride * 2^(o / octaves)``; RetinaNet, arXiv:1708.02002, section 4."""
    steps = [2.0 ** (octave / settings.octaves) for octave in range(settings.octaves)]
    sides = tuple(tuple(settings.scale * stride * step for step in steps) for stride in strides)
    return AnchorShapes(sides, settings.ratios)


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # else training could not use what detection has cached
def pyramid_anchors(
    sizes: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    shapes: AnchorShapes,
    device: torch.device,
) -> Tensor:
    """Anchors of all levels, level by level, row by row, ``shapes.per_cell`` to a cell.

    Args:
        sizes: height and width of each level's map.

    Returns:
        ``[sum(h * w) * per_cell, 4]`` float32.
    """
    levels = []
    for (height, width), stride, sides in zip(sizes, strides, shapes.sides, strict=True):
        root = torch.tensor(shapes.ratios, dtype=torch.float64, device=device).sqrt()
        side = torch.tensor(sides, dtype=torch.float64, device=device)
        # Ratio-major, side-minor within a cell.
        w = (side[None, :] / root[:, None]).flatten()
        h = (side[None, :] * root[:, None]).flatten()
        cell = torch.stack((-w, -h, w, h), dim=1) / 2
        y = (torch.arange(height, dtype=torch.float64, device=device) + shapes.offset) * stride
        x = (torch.arange(width, dtype=torch.float64, device=device) + shapes.offset) * stride
        y, x = torch.meshgrid(y, x, indexing="ij")
        centre = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)
        levels.append((centre + cell).reshape(-1, 4))
    return torch.cat(levels).float()


def map_anchors(maps: Sequence[Tensor], strides: tuple[int, ...], shapes: AnchorShapes) -> Tensor:
    """``pyramid_anchors`` of ``[B, C, h, w]`` maps, in the order of their flattened predictions."""
    sizes = tuple((x.shape[-2], x.shape[-1]) for x in maps)
    return pyramid_anchors(sizes, strides, shapes, maps[0].device)


def encode(boxes: Tensor, anchors: Tensor, stds: Sequence[float]) -> Tensor:
    """Boxes as offsets from anchors, ``(dx, dy, dw, dh) / stds``; R-CNN, arXiv:1311.2524, App. C.

    Args:
        boxes, anchors: ``[..., 4]`` ``x1, y1, x2, y2``, broadcast against each other.
    """
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    shift = (boxes[..., 2:] + boxes[..., :2] - anchors[..., 2:] - anchors[..., :2]) / 2
    offsets = torch.cat((shift / anchor_size, (size / anchor_size).log()), dim=-1)
    return offsets / offsets.new_tensor(stds)


def decode(offsets: Tensor, anchors: Tensor, stds: Sequence[float]) -> Tensor:
    """The inverse of ``encode``; growth is limited to 62.5 times the anchor."""
    offsets = offsets * offsets.new_tensor(stds)
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    centre = (anchors[..., 2:] + anchors[..., :2]) / 2 + offsets[..., :2] * anchor_size
    half = anchor_size * offsets[..., 2:].clamp(max=_MAX_LOG_GROWTH).exp() / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def pairwise_overlap(boxes: Tensor, anchors: Tensor, over: str = "union") -> Tensor:
    """Intersection of every box with every anchor, over their union or over the anchor's area.

    Args:
        boxes: ``[B, G, 4]``; anchors: ``[A, 4]`` or ``[B, A, 4]``.

    Returns:
        ``[B, G, A]`` in 0..1.
    """
    a = anchors.unsqueeze(-3) if anchors.dim() == 3 else anchors
    b = boxes.unsqueeze(-2)
    width = torch.minimum(b[..., 2], a[..., 2]).sub_(torch.maximum(b[..., 0], a[..., 0]))
    height = torch.minimum(b[..., 3], a[..., 3]).sub_(torch.maximum(b[..., 1], a[..., 1]))
    shared = width.clamp_(min=0).mul_(height.clamp_(min=0))
    anchor_area = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    if over == "anchor":
        return shared.div_(anchor_area)
    box_area = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return shared / (box_area + anchor_area).sub_(shared).clamp_(min=1e-9)


@torch.no_grad()
def assign(
    targets: Targets,
    anchors: Tensor,
    positive: float,
    negative: float,
    rescue: Literal["every", "one", "none"] = "every",
) -> Tensor:
    """Give every anchor an object, the background, or nothing.

    An anchor takes the object that it overlaps most if that IoU is at least ``positive``; below
    ``negative`` it is background. An object that is rescued also takes the anchors that overlap it
    most, however little (but not at all does not count): ``every`` one of them, as in RetinaNet and
    MMDetection, which is many where a small object lies inside of anchors of one size, or only
    ``one``, the first, as in SSD. Where several objects want one anchor, the last gets it, as in
    MMDetection. Background anchors that lie by more than half in an ignore region take no part.

    Args:
        anchors: ``[A, 4]``, or ``[B, A, 4]`` where every image has its own.

    Returns:
        ``[B, A]`` int64: index into ``targets.boxes``, ``NEGATIVE`` or ``IGNORED``.
    """
    batch, count = targets.labels.shape[0], anchors.shape[-2]
    best = anchors.new_zeros(batch, count)
    owner = targets.labels.new_zeros(batch, count)
    rescuer = targets.labels.new_full((batch, count), -1)
    step = max(1, MAX_PAIRS // max(1, batch * count))
    for start in range(0, targets.labels.shape[1], step):
        real = targets.labels[:, start : start + step] >= 0
        iou = pairwise_overlap(targets.boxes[:, start : start + step], anchors)
        iou.mul_(real.unsqueeze(-1))
        value, index = iou.max(dim=1)
        better = value > best
        best = torch.where(better, value, best)
        owner = torch.where(better, index + start, owner)
        if rescue != "none":
            top = iou.amax(dim=2, keepdim=True)
            if rescue == "every":
                closest = iou == top
            else:
                closest = torch.arange(count, device=iou.device) == iou.argmax(dim=2, keepdim=True)
            order = torch.arange(start, start + iou.shape[1], device=iou.device)
            found = torch.where(closest & (top > 0), order[None, :, None], -1).amax(dim=1)
            rescuer = torch.maximum(rescuer, found)
    assigned = torch.where(best < negative, NEGATIVE, IGNORED)
    assigned = torch.where(best >= positive, owner, assigned)
    assigned = torch.where(rescuer >= 0, rescuer, assigned)
    for start in range(0, targets.ignore.shape[1], step):
        regions = targets.ignore[:, start : start + step]
        inside = pairwise_overlap(regions, anchors, over="anchor").amax(dim=1) > 0.5
        assigned = torch.where(inside & (assigned == NEGATIVE), IGNORED, assigned)
    return assigned


def matched(targets: Targets, assigned: Tensor) -> tuple[Tensor, Tensor]:
    """Box ``[B, A, 4]`` and label ``[B, A]`` of each anchor's object; any where it has none."""
    index = assigned.clamp(min=0)
    boxes = targets.boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
    return boxes, targets.labels.gather(1, index).clamp(min=0)


def flat(x: Tensor, width: int) -> Tensor:
    """``[B, A * width, h, w]`` -> ``[B, h * w * A, width]`` float32.

    Assignment, losses and pixel coordinates need full precision; channels-last float32 maps are
    not copied.
    """
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width).float()


def candidates(
    scores: Tensor, offsets: Tensor, anchors: Tensor, stds: Sequence[float], top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best ``top_k`` pairs of anchor and class of one level, decoded.

    Args:
        scores: ``[B, A, K]``; offsets: ``[B, A, 4]``.
        anchors: ``[A, 4]``, or ``[B, A, 4]`` where every image has its own.

    Returns:
        boxes ``[B, N, 4]``, scores ``[B, N]``, labels ``[B, N]``, with ``N <= top_k``.
    """
    classes = scores.shape[-1]
    score, index = scores.flatten(1).topk(min(top_k, scores[0].numel()))
    anchor = index // classes
    rows = anchor.unsqueeze(-1).expand(-1, -1, 4)
    own = anchors.gather(1, rows) if anchors.dim() == 3 else anchors[anchor]
    return decode(offsets.gather(1, rows), own, stds), score, index % classes


def level_candidates(
    scores: Sequence[Tensor],
    offsets: Sequence[Tensor],
    anchors: Tensor,
    stds: Sequence[float],
    top_k: int,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """``candidates`` of each level; ``anchors`` ``[A, 4]`` are those of all, level by level."""
    own = torch.split(anchors, [x.shape[1] for x in offsets])
    levels = zip(scores, offsets, own, strict=True)
    return [candidates(*level, stds, top_k) for level in levels]


def suppress(
    levels: Sequence[tuple[Tensor, Tensor, Tensor]], size: tuple[int, int], settings: Detect
) -> Detections:
    """Class-wise non-maximum suppression of a batch, as the suite pins it.

    Args:
        levels: of each level boxes ``[B, N, 4]``, scores ``[B, N]`` and labels ``[B, N]``.
        size: height and width of the network input, to which boxes are clipped.
    """
    boxes, scores, labels = (torch.cat(part, dim=1) for part in zip(*levels, strict=True))
    limit = boxes.new_tensor((size[1], size[0], size[1], size[0]))
    boxes = torch.minimum(boxes.clamp(min=0), limit)
    # A box that lay outside the input has no area left.
    candidate = (scores > settings.score_threshold) & (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
    rows = []
    for box, score, label, chosen in zip(boxes, scores, labels, candidate, strict=True):
        box, score, label = box[chosen], score[chosen], label[chosen]
        # In double precision the class offsets of batched_nms do not blur boxes of a few pixels.
        kept = batched_nms(box.double(), score.double(), label, settings.nms)
        kept = kept[: settings.max_detections]
        rows.append((box[kept], score[kept], label[kept]))
    longest = max(len(row[1]) for row in rows)
    padded = Detections(
        boxes.new_zeros(len(rows), longest, 4),
        scores.new_zeros(len(rows), longest),
        labels.new_full((len(rows), longest), -1),
    )
    for index, (box, score, label) in enumerate(rows):
        padded.boxes[index, : len(box)] = box
        padded.scores[index, : len(box)] = score
        padded.labels[index, : len(box)] = label
    return padded
