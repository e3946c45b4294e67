"""Boxes as tensors: encoded as offsets from anchors, and their overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import log

import torch
from torch import Tensor

_MAX_LOG_GROWTH = log(1000 / 16)  # an anchor may grow 62.5 times, as in Fast R-CNN code


def encode(boxes: Tensor, anchors: Tensor, stds: Sequence[float]) -> Tensor:
    """Boxes as offsets from anchors, ``(dx, dy, dw, dh) / stds``; R-CNN, arXiv:1311.2524, App. C.

    Args:
        boxes, anchors: ``[..., 4]`` ``x1, y1, x2, y2``, broadcast against each other.
        stds: divisors of the four offsets.

    Returns:
        ``[..., 4]``, finite also for boxes without area.
    """
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    shift = (boxes[..., 2:] + boxes[..., :2] - anchors[..., 2:] - anchors[..., :2]) / 2
    offsets = torch.cat((shift / anchor_size, (size / anchor_size).log()), dim=-1)
    return offsets / constant(tuple(stds), offsets.dtype, offsets.device)


def decode(offsets: Tensor, anchors: Tensor, stds: Sequence[float]) -> Tensor:
    """The inverse of ``encode``; a box has at most 62.5 times its anchor's width and height."""
    offsets = offsets * constant(tuple(stds), offsets.dtype, offsets.device)
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    centre = (anchors[..., 2:] + anchors[..., :2]) / 2 + offsets[..., :2] * anchor_size
    half = anchor_size * offsets[..., 2:].clamp(max=_MAX_LOG_GROWTH).exp() / 2
    return torch.cat((centre - half, centre + half), dim=-1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # else training could not use what detection has cached
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A short tensor that is kept: every copy to a GPU has the host wait for it."""
    return torch.tensor(values, dtype=dtype, device=device)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """``[..., 4]`` boxes, clipped to an input of ``size`` (height, width)."""
    x, y = boxes[..., 0::2].clamp(0, size[1]), boxes[..., 1::2].clamp(0, size[0])
    return torch.stack((x, y), dim=-1).flatten(-2)


def box_iou(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Intersection over union of every box with every anchor.

    Args:
        boxes: ``[B, G, 4]``; anchors: ``[A, 4]`` or ``[B, A, 4]``.

    Returns:
        ``[B, G, A]`` in 0..1.
    """
    return paired_iou(boxes.unsqueeze(-2), _for_all_boxes(anchors))


def paired_iou(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Intersection over union of ``[..., 4]`` boxes and anchors, broadcast against each other."""
    shared, box_area, anchor_area = _intersection(boxes, anchors)
    return shared / (box_area + anchor_area).sub_(shared).clamp_(min=1e-9)


def box_ioa(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Intersection of every box with every anchor over the anchor's area.

    Args and shape of the result are those of ``box_iou``.
    """
    shared, _, anchor_area = _intersection(boxes.unsqueeze(-2), _for_all_boxes(anchors))
    return shared.div_(anchor_area)


def _for_all_boxes(anchors: Tensor) -> Tensor:
    return anchors.unsqueeze(-3) if anchors.dim() == 3 else anchors


def _intersection(b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Intersections of boxes and anchors, and the areas of either."""
    width = torch.minimum(b[..., 2], a[..., 2]).sub_(torch.maximum(b[..., 0], a[..., 0]))
    height = torch.minimum(b[..., 3], a[..., 3]).sub_(torch.maximum(b[..., 1], a[..., 1]))
    shared = width.clamp_(min=0).mul_(height.clamp_(min=0))
    anchor_area = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    box_area = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return shared, box_area, anchor_area
