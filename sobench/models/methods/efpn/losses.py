"""The loss of cross resolution distillation, and the cells that it weighs; EFPN, section III-C."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.data.targets import Targets


def foreground_balanced_l1(
    student: Tensor, target: Tensor, covered: Tensor, weight: float
) -> Tensor:
    """Mean L1 of a map, and once more over objects; EFPN, arXiv:2003.07021, Eq. 6 to 8.

    The loss is ``L_glob + weight * L_pos``. Here both are means over channels too, as in the
    authors' code; the paper's norms are sums over them. Cells of padding count as background.

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
