"""The loss of cross resolution distillation, and the cells that it weighs; EFPN, section III-C."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts.matching import in_ignored
from sobench.models.parts.whole_batch import whole_count, whole_mean


def foreground_balanced_l1(
    student: Tensor, target: Tensor, covered: Tensor, weight: float, left_out: Tensor | None = None
) -> Tensor:
    """Mean L1 of a map, and once more over objects; EFPN, arXiv:2003.07021, Eq. 6 to 8.

    The loss is ``L_glob + weight * L_pos``. Here both are means over channels too, as in the
    authors' code; the paper's norms are sums over them. Cells of padding count as background.

    Args:
        student, target: ``[B, C, h, w]``.
        covered: ``[B, h, w]`` bool, the cells of ``L_pos``, which is 0 without any.
        left_out: ``[B, h, w]`` bool, cells that take no part in ``L_glob``; ``None`` for none.

    Returns:
        Float32 scalar.
    """
    distance = (student.float() - target.float()).abs().mean(dim=1)
    cells = whole_count(covered.sum()).clamp(min=1)
    positive = torch.where(covered, distance, 0.0).sum() / cells
    if left_out is None:
        return whole_mean(distance) + weight * positive
    others = whole_count((~left_out).sum()).clamp(min=1)
    whole = torch.where(left_out, 0.0, distance).sum() / others
    return whole + weight * positive


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


@torch.no_grad()
def ignored_cells(
    targets: Targets, stride: float, size: tuple[int, int], covered: Tensor
) -> Tensor | None:
    """Cells in ignore regions, by the rule for anchors (``in_ignored``), that no object touches.

    Args:
        stride: of the map, in pixels of the boxes.
        size: height and width of the map.
        covered: ``[B, h, w]`` bool, from ``covered_cells``.

    Returns:
        ``[B, h, w]`` bool; ``None`` if the images have no ignore regions.
    """
    if not targets.ignore.shape[1]:
        return None
    device = targets.ignore.device
    rows, columns = (torch.arange(side, dtype=torch.float, device=device) for side in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    cells = torch.stack((x, y, x + 1, y + 1), dim=-1).view(-1, 4) * stride
    return in_ignored(targets, cells).view(covered.shape) & ~covered
