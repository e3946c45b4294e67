"""The MultiBox loss of SSD and of both modules of RefineDet."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts.boxes import encode
from sobench.models.parts.losses import mined_cross_entropy, smooth_l1
from sobench.models.parts.matching import NEGATIVE, match, matched_targets
from sobench.models.parts.whole_batch import whole_count

STDS = (0.1, 0.1, 0.2, 0.2)
"""Divisors of the box offsets; SSD's Caffe code calls them variances."""


def multibox_loss(
    logits: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    targets: Targets,
    filtered: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Class and box loss, each divided by the positives of the batch; SSD, Eq. 1 to 3.

    Every object takes an anchor of its own and all with an IoU of at least .5. The class
    loss is cross-entropy with three hard negatives per positive, the box loss smooth L1 with beta
    1. Both are 0 without positives.

    Args:
        logits: ``[B, A, K + 1]``, 0 is the background; offsets: ``[B, A, 4]``.
        anchors: ``[A, 4]`` or ``[B, A, 4]``.
        filtered: ``[B, A]`` bool, anchors that may not be negatives, though they may be positives.
    """
    matches = match(targets, anchors, pos_iou=0.5, neg_iou=0.5, low_quality="bipartite")
    positive, negative = matches >= 0, matches == NEGATIVE
    if filtered is not None:
        negative = negative & ~filtered
    boxes, labels = matched_targets(targets, matches)
    classes = torch.where(positive, labels + 1, 0)
    num_positives = whole_count(positive.sum()).clamp(min=1)
    class_loss = mined_cross_entropy(logits, classes, positive, negative)
    box_loss = smooth_l1(offsets, encode(boxes, anchors, STDS), positive, beta=1.0)
    return class_loss / num_positives, box_loss / num_positives
