"""Balanced L1, the box loss of Libra R-CNN; arXiv:1904.02701, section 3.3."""

from __future__ import annotations

from math import exp

import torch
from torch import Tensor


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
    ``alpha * ln(b + 1) = gamma`` both meet at 1. The paper has no ``beta``; for values other than 1
    this is the form of the authors' code, which is continuous at ``beta`` but whose slope is not.

    Args:
        prediction, target: ``[..., 4]``; positive: ``[...]`` bool.
        beta: the difference at which inliers end.
    """
    b = exp(gamma / alpha) - 1
    difference = (prediction - target).abs()
    # The logarithm's branch must stay finite where it is not taken.
    inlier = difference.clamp(max=beta)
    curve = alpha / b * (b * inlier + 1) * (b * inlier / beta + 1).log() - alpha * inlier
    line = gamma * difference + gamma / b - alpha * beta
    loss = torch.where(difference < beta, curve, line)
    return torch.where(positive, loss.sum(dim=-1), 0.0).sum()
