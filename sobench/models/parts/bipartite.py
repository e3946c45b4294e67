"""Every object gets an anchor of its own: the first step of matching in SSD and RefineDet."""

from __future__ import annotations

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts import fused
from sobench.models.parts.boxes import box_iou
from sobench.models.parts.chosen import has_fixed_sizes
from sobench.models.parts.overlaps import real_boxes, tiled_iou

MAX_PAIRS = 2**24
"""Anchor-object pairs in memory at once."""

_CANDIDATES = 16
"""Best anchors of an object that are tried before more are looked for; few objects need them."""

_ROUNDS = 8
"""Rounds of asking between two looks whether all is settled, where each look waits for a GPU."""


@torch.no_grad()
def bipartite_match(targets: Targets, anchors: Tensor) -> Tensor:
    """Match objects to anchors one to one, pairs of greater IoU first; SSD, section 2.2.

    The result is that of taking the pair with the greatest IoU, removing both, and going on, as the
    authors' code does. It is found without that loop over pairs: every object asks for its best
    anchor, an anchor keeps the object that overlaps it most, and the others ask for their next one
    (Gale and Shapley, 1962; both sides rank by the same IoU, so the stable matching is this one).
    Of equal pairs the first anchor and the first object count. An object that no free anchor
    overlaps stays without.

    Args:
        anchors: ``[A, 4]``, or ``[B, A, 4]`` if every image has anchors of its own.

    Returns:
        ``[B, A]`` int64: index into ``targets.boxes``, or -1.
    """
    count, number = anchors.shape[-2], _CANDIDATES
    while True:
        number = min(number, count)
        iou, index = _best_anchors(targets, anchors, number)
        objects, needs_more = _deferred_acceptance(iou, index, count)
        if number == count or not needs_more:
            return objects
        number *= 8


def _best_anchors(targets: Targets, anchors: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """IoU ``[B, G, number]`` with the best anchors of each object, and their indices."""
    if fused.is_fused(anchors):
        found: tuple[Tensor, Tensor] = fused.best_anchors(
            targets.boxes, targets.labels, anchors, number
        )
        return found
    if not anchors.is_cuda:
        return _best_anchors_by_image(targets, anchors, number)
    count, groups = anchors.shape[-2], []
    # Rounding apart, the order of the IoUs themselves; of equal ones the first anchor comes first.
    earlier = 1 - 1e-13 * torch.arange(count, dtype=torch.float64, device=anchors.device)
    step = max(1, MAX_PAIRS // (len(targets.boxes) * count))
    for start in range(0, targets.labels.shape[1], step):
        real = targets.labels[:, start : start + step] >= 0
        iou = box_iou(targets.boxes[:, start : start + step], anchors) * real.unsqueeze(-1)
        index = (iou * earlier).topk(number).indices
        groups.append((iou.gather(2, index), index))
    iou, index = (torch.cat(part, dim=1) for part in zip(*groups, strict=True))
    return iou, index


def _best_anchors_by_image(targets: Targets, anchors: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """As ``_best_anchors``, bit for bit, without the cost of padding, whose IoU is 0."""
    count = anchors.shape[-2]
    iou = targets.boxes.new_zeros(*targets.labels.shape, number)
    index = targets.labels.new_zeros(*targets.labels.shape, number)
    earlier = 1 - 1e-13 * torch.arange(count, dtype=torch.float64, device=anchors.device)
    step = max(1, MAX_PAIRS // count)
    for image, boxes, places in real_boxes(targets, step):
        overlap = tiled_iou(boxes, anchors[image] if anchors.dim() == 3 else anchors)
        best = (overlap * earlier).topk(number).indices
        iou[image, places] = overlap.gather(1, best)
        index[image, places] = best
    return iou, index


def _deferred_acceptance(iou: Tensor, index: Tensor, count: int) -> tuple[Tensor, bool]:
    """Match objects to one of ``count`` anchors by their candidates ``[B, G, N]``, best first.

    Returns:
        ``[B, count]`` int64 object of each anchor or -1, and whether an object ran out of
        candidates while others may be left.
    """
    batch, num_objects, number = iou.shape
    order = torch.arange(num_objects, device=iou.device).expand(batch, -1)
    asked = torch.zeros_like(order)
    rounds = _ROUNDS if has_fixed_sizes(iou.device) else 1
    while True:
        for _ in range(rounds):  # once all is settled, a further one changes nothing
            place = asked.clamp(max=number - 1).unsqueeze(-1)
            value, anchor = (x.gather(2, place).squeeze(-1) for x in (iou, index))
            value = torch.where(asked < number, value, 0.0)
            asks = value > 0
            # An anchor keeps the object of the greatest IoU, of equal ones the first.
            best = value.new_zeros(batch, count).scatter_reduce(1, anchor, value, "amax")
            is_best = asks & (value == best.gather(1, anchor))
            rank = torch.where(is_best, order, num_objects)
            first = order.new_full((batch, count), num_objects)
            first = first.scatter_reduce(1, anchor, rank, "amin")
            refused = asks & (first.gather(1, anchor) != order)
            asked = asked + refused
        # Both questions in one look.
        needs_more = (asked >= number) & (iou[..., -1] > 0)
        is_refused, is_short = torch.stack((refused.any(), needs_more.any())).tolist()
        if not is_refused:
            return torch.where(first < num_objects, first, -1), is_short
