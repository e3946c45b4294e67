"""From raw predictions to detections: candidates, and non-maximum suppression of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from sobench.models.parts.boxes import decode
from sobench.suite.sections import Detect


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


def flatten_predictions(x: Tensor, width: int) -> Tensor:
    """``[B, A * width, h, w]`` -> ``[B, h * w * A, width]`` float32.

    Assignment, losses and pixel coordinates need full precision; channels-last float32 maps are
    not copied.
    """
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width).float()


def topk_candidates(
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


def level_topk_candidates(
    scores: Sequence[Tensor],
    offsets: Sequence[Tensor],
    anchors: Tensor,
    stds: Sequence[float],
    top_k: int,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """``candidates`` of each level; ``anchors`` ``[A, 4]`` are those of all, level by level."""
    own = torch.split(anchors, [x.shape[1] for x in offsets])
    levels = zip(scores, offsets, own, strict=True)
    return [topk_candidates(*level, stds, top_k) for level in levels]


def nms(
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
