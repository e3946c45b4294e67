"""Losses shared by the heads. All return sums; the head divides by what its paper divides by.

Only ``foreground_balanced_l1``, which compares whole maps, has its divisors within.
"""

from __future__ import annotations

from math import exp
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sobench.data.targets import Targets


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


def smooth_l1(prediction: Tensor, target: Tensor, positive: Tensor, beta: float = 0.0) -> Tensor:
    """Smooth L1 over the positives, summed; ``beta`` 0 is plain L1. Fast R-CNN, Eq. 3.

    Args:
        prediction, target: ``[..., 4]``; positive: ``[...]`` bool.
    """
    loss = F.smooth_l1_loss(prediction, target, beta=beta, reduction="none").sum(dim=-1)
    return torch.where(positive, loss, 0.0).sum()


def balanced_l1(
    prediction: Tensor,
    target: Tensor,
    positive: Tensor,
    alpha: float = 0.5,
    gamma: float = 1.5,
    beta: float = 1.0,
) -> Tensor:
    """Balanced L1 over the positives, summed; Libra R-CNN, arXiv:1904.02701, Eq. 6 to 9.

    The gradient of inliers is ``alpha * ln(b * d + 1)``, that of outliers ``gamma``, and with
    ``alpha * ln(b + 1) = gamma`` both meet at 1. The paper has no ``beta``; for another than 1 this
    is the form of the authors' code, whose value is continuous at ``beta`` but whose slope is not.

    Args:
        prediction, target: ``[..., 4]``; positive: ``[...]`` bool.
        beta: where inliers end.
    """
    b = exp(gamma / alpha) - 1
    difference = (prediction - target).abs()
    # The logarithm's branch must stay finite where it is not taken.
    inlier = difference.clamp(max=beta)
    curve = alpha / b * (b * inlier + 1) * (b * inlier / beta + 1).log() - alpha * inlier
    line = gamma * difference + gamma / b - alpha * beta
    loss = torch.where(difference < beta, curve, line)
    return torch.where(positive, loss.sum(dim=-1), 0.0).sum()


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


def foreground_balanced_l1(
    student: Tensor, target: Tensor, covered: Tensor, weight: float
) -> Tensor:
    """Mean L1 of a map, and once more over objects; EFPN, arXiv:2003.07021, Eq. 6 to 8.

    ``L_glob + weight * L_pos``. Both are here means over channels too, as in the authors' code; the
    paper's norms are sums over them. Cells of padding count as background.

    Args:
        student, target: ``[B, C, h, w]``.
        covered: ``[B, h, w]`` bool, the cells of ``L_pos``, which is 0 without any.

    Returns:
        Float32 scalar.
    """
    distance = (student.float() - target.float()).abs().mean(dim=1)
    positive = torch.where(covered, distance, 0.0).sum() / covered.sum().clamp(min=1)
    return distance.mean() + weight * positive


@torch.no_grad()
def covered_cells(targets: Targets, stride: float, size: tuple[int, int]) -> Tensor:
    """Cells that an object touches.

    Args:
        stride: of the map, in pixels of the boxes.
        size: height and width of the map.

    Returns:
        ``[B, h, w]`` bool.
    """
    low, high = (targets.boxes[..., :2] / stride).floor(), (targets.boxes[..., 2:] / stride).ceil()

    def inside(axis: int) -> Tensor:
        """``[B, G, h or w]``, 1 from the box's first cell to its last."""
        cell = torch.arange(size[1 - axis], device=low.device)
        after, before = cell >= low[..., axis, None], cell < high[..., axis, None]
        return (after & before & (targets.labels >= 0).unsqueeze(-1)).float()

    return inside(1).transpose(1, 2) @ inside(0) > 0
