"""From raw predictions to detections: top-k candidates, and batched non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from sobench.models.parts.boxes import clip, decode
from sobench.suite.detect import Detect

Candidates = list[tuple[Tensor, Tensor, Tensor]]
"""What goes into a suppression: of each level boxes ``[B, N, 4]``, scores ``[B, N]`` in 0..1 and
labels ``[B, N]``. Boxes are ``x1, y1, x2, y2`` in pixels of the network input, not yet clipped."""


@dataclass(frozen=True)
class Detections:
    """Padded detections of a batch, highest score first.

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

    Matching, losses and pixel coordinates need full precision; channels-last float32 maps are not
    copied.
    """
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width).float()


def topk_candidates(
    scores: Tensor, offsets: Tensor, anchors: Tensor, stds: Sequence[float], top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The ``top_k`` pairs of anchor and class with the highest scores, decoded.

    Args:
        scores: ``[B, A, K]``; offsets: ``[B, A, 4]``.
        anchors: ``[A, 4]``, or ``[B, A, 4]`` if every image has anchors of its own.

    Returns:
        boxes ``[B, N, 4]``, scores ``[B, N]``, labels ``[B, N]``, with ``N <= top_k``.
    """
    num_classes = scores.shape[-1]
    top_scores, pairs = scores.flatten(1).topk(min(top_k, scores[0].numel()))
    anchor_index = pairs // num_classes
    index = anchor_index.unsqueeze(-1).expand(-1, -1, 4)
    top_anchors = anchors.gather(1, index) if anchors.dim() == 3 else anchors[anchor_index]
    return decode(offsets.gather(1, index), top_anchors, stds), top_scores, pairs % num_classes


def level_topk_candidates(
    scores: Sequence[Tensor],
    offsets: Sequence[Tensor],
    anchors: Tensor,
    stds: Sequence[float],
    top_k: int,
) -> Candidates:
    """``topk_candidates`` of each level.

    Args:
        scores, offsets: of each level, as in ``topk_candidates``.
        anchors: ``[A, 4]`` of all levels, level by level.
    """
    level_anchors = torch.split(anchors, [x.shape[1] for x in offsets])
    levels = zip(scores, offsets, level_anchors, strict=True)
    return [topk_candidates(*level, stds, top_k) for level in levels]


def nms(
    levels: Sequence[tuple[Tensor, Tensor, Tensor]], size: tuple[int, int], settings: Detect
) -> Detections:
    """Class-wise non-maximum suppression of a batch, as the suite pins it.

    Args:
        levels: as ``Candidates``.
        size: (height, width) of the network input, to which boxes are clipped.
    """
    boxes, scores, labels = (torch.cat(part, dim=1) for part in zip(*levels, strict=True))
    # Clip first, so that a box outside the input has no area, by which it is dropped.
    boxes = clip(boxes, size)
    # Image by image, since each has a different number of candidates.
    detections = [suppress(*image, settings) for image in zip(boxes, scores, labels, strict=True)]
    # Padded to the longest image, so that the batch is one tensor again.
    longest = max(len(score) for _, score, _ in detections)
    padded = Detections(
        boxes.new_zeros(len(detections), longest, 4),
        scores.new_zeros(len(detections), longest),
        labels.new_full((len(detections), longest), -1),
    )
    for index, (box, score, label) in enumerate(detections):
        padded.boxes[index, : len(box)] = box
        padded.scores[index, : len(box)] = score
        padded.labels[index, : len(box)] = label
    return padded


def suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, settings: Detect
) -> tuple[Tensor, Tensor, Tensor]:
    """The detections among the candidates of one image, best first.

    Args:
        boxes: ``[N, 4]``, clipped to the image; one without area is dropped.
        scores, labels: ``[N]``.
    """
    passed = (scores > settings.score_threshold) & (boxes[:, 2:] > boxes[:, :2]).all(dim=-1)
    boxes, scores, labels = boxes[passed], scores[passed], labels[passed]
    # In double precision the class offsets of batched_nms do not blur boxes of a few pixels.
    keep = batched_nms(boxes.double(), scores.double(), labels, settings.nms)
    keep = keep[: settings.max_detections]
    return boxes[keep], scores[keep], labels[keep]
