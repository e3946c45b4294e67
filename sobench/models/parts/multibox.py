"""The MultiBox loss, of SSD and of both modules of RefineDet."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts.boxes import encode
from sobench.models.parts.losses import mined_cross_entropy, smooth_l1
from sobench.models.parts.matching import NEGATIVE, match, matched

STDS = (0.1, 0.1, 0.2, 0.2)
"""By which box offsets are divided, which Caffe calls their variances."""


def multibox_loss(
    logits: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    targets: Targets,
    sure: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Class and box loss over the positives of the batch, 0 without any; SSD, Eq. 1 to 3.

    An object takes the anchor that it overlaps most and all with IoU of .5 and more;
    cross-entropy with three hard negatives for each positive, smooth L1 with beta 1.

    Args:
        logits: ``[B, A, K + 1]``, 0 is the background; offsets: ``[B, A, 4]``.
        anchors: ``[A, 4]`` or ``[B, A, 4]``.
        sure: ``[B, A]`` bool, anchors that may not be negatives. Positives they may be.
    """
    assigned = match(targets, anchors, pos_iou=0.5, neg_iou=0.5, low_quality="one")
    positive, negative = assigned >= 0, assigned == NEGATIVE
    if sure is not None:
        negative = negative & ~sure
    boxes, labels = matched(targets, assigned)
    classes = torch.where(positive, labels + 1, 0)
    count = positive.sum().clamp(min=1)
    class_loss = mined_cross_entropy(logits, classes, positive, negative)
    box_loss = smooth_l1(offsets, encode(boxes, anchors, STDS), positive, beta=1.0)
    return class_loss / count, box_loss / count
