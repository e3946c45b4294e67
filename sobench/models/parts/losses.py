"""Losses shared by the heads. All return sums; the head divides as its paper does."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class BoxLoss(Protocol):
    """Loss of encoded boxes, summed over the positives."""

    def __call__(self, prediction: Tensor, target: Tensor, positive: Tensor) -> Tensor:
        """From ``[..., 4]``, ``[..., 4]`` and ``[...]`` bool to a scalar."""
        ...


def focal_loss(
    logits: Tensor,
    labels: Tensor,
    positive: Tensor,
    counted: Tensor,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> Tensor:
    """Sigmoid focal loss, summed; RetinaNet, arXiv:1708.02002, Eq. 5.

    Every logit is first counted as background; the one logit of each positive anchor's class is
    then corrected. This avoids a one-hot target of the logits' size.

    Args:
        logits: ``[B, A, K]``.
        labels: ``[B, A]`` int64 in ``0..K-1``; read where ``positive``.
        positive: ``[B, A]`` bool, anchors with an object.
        counted: ``[B, A]`` bool, anchors that take part in the loss.
    """
    # As if every logit belonged to the background.
    background = (1 - alpha) * logits.sigmoid().pow(gamma) * F.softplus(logits)
    total = (background.sum(dim=-1) * counted).sum()
    # The correction: the logit of each positive's class counts as an object instead.
    logit = logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    as_object = alpha * (-logit).sigmoid().pow(gamma) * F.softplus(-logit)
    as_background = (1 - alpha) * logit.sigmoid().pow(gamma) * F.softplus(logit)
    return total + torch.where(positive, as_object - as_background, 0.0).sum()


def smooth_l1_of_boxes(prediction: Tensor, target: Tensor, beta: float = 0.0) -> Tensor:
    """Smooth L1 of every box, summed over its offsets; ``beta`` 0 is plain L1. Fast R-CNN, Eq. 3.

    A difference ``d`` costs ``d^2 / (2 beta)`` below ``beta`` and ``|d| - beta / 2`` from there on.

    Args:
        prediction, target: ``[..., 4]`` encoded boxes.

    Returns:
        ``[...]``.
    """
    return F.smooth_l1_loss(prediction, target, beta=beta, reduction="none").sum(dim=-1)


def smooth_l1(prediction: Tensor, target: Tensor, positive: Tensor, beta: float = 0.0) -> Tensor:
    """``smooth_l1_of_boxes``, summed over the positives.

    Args:
        prediction, target: ``[..., 4]``; positive: ``[...]`` bool.
    """
    loss = smooth_l1_of_boxes(prediction, target, beta)
    return torch.where(positive, loss, 0.0).sum()


def mined_cross_entropy(
    logits: Tensor, classes: Tensor, positive: Tensor, negative: Tensor, ratio: int = 3
) -> Tensor:
    """Softmax cross-entropy over positives and the hardest negatives, summed; SSD, section 2.2.

    Args:
        logits: ``[B, A, K + 1]``; classes: ``[B, A]`` int64 in ``0..K``, 0 is the background.
        positive, negative: ``[B, A]`` bool.
        ratio: negatives kept for each positive of an image.
    """
    loss = F.cross_entropy(logits.transpose(1, 2), classes, reduction="none")
    # Negatives compete within their image only, whatever the losses of the others.
    with torch.no_grad():
        hardness = torch.where(negative, loss, -1.0)
        rank = hardness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        mined = negative & (rank < ratio * positive.sum(dim=1, keepdim=True))
    return torch.where(positive | mined, loss, 0.0).sum()
