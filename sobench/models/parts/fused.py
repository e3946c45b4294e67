"""The kernels of ``kernels.py`` as operations of torch, for anchors on a GPU.

So they have results without values too, as a rehearsal or a compiler asks for. The module with the
kernels is imported by the first call, since Triton is only there for machines that have a use for
it; without it, the plain code computes on padding and on all pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.library import custom_op

from sobench.device import has_triton


def is_fused(anchors: Tensor) -> bool:
    """Whether overlaps with these anchors are computed by kernels."""
    return anchors.is_cuda and has_triton()


@custom_op("sobench::best_overlaps", mutates_args=(), device_types="cuda")
def best_overlaps(
    boxes: Tensor, labels: Tensor, anchors: Tensor, with_claims: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``matching._best_overlaps``, bit for bit."""
    from sobench.models.parts import kernels

    return kernels.best_overlaps(boxes, labels, anchors, with_claims)


@best_overlaps.register_fake
def _(
    boxes: Tensor, labels: Tensor, anchors: Tensor, with_claims: bool
) -> tuple[Tensor, Tensor, Tensor]:
    del with_claims
    shape = len(labels), anchors.shape[-2]
    return boxes.new_empty(shape), labels.new_empty(shape), labels.new_empty(shape)


@custom_op("sobench::best_anchors", mutates_args=(), device_types="cuda")
def best_anchors(
    boxes: Tensor, labels: Tensor, anchors: Tensor, number: int
) -> tuple[Tensor, Tensor]:
    """As ``bipartite._best_anchors``, bit for bit where anchors overlap."""
    from sobench.models.parts import kernels

    return kernels.best_anchors(boxes, labels, anchors, number)


@best_anchors.register_fake
def _(boxes: Tensor, labels: Tensor, anchors: Tensor, number: int) -> tuple[Tensor, Tensor]:
    del anchors
    shape = *labels.shape, number
    return boxes.new_empty(shape), labels.new_empty(shape)


@custom_op("sobench::relative_iou", mutates_args=(), device_types="cuda")
def relative_iou(
    boxes: Tensor, labels: Tensor, anchors: Tensor, with_moments: bool, only_nonzero: bool
) -> tuple[Tensor, Tensor]:
    """As ``_relative_iou_of_batch`` of ZoomInNet; its sums may differ by their rounding."""
    from sobench.models.parts import kernels

    return kernels.relative_iou(boxes, labels, anchors, with_moments, only_nonzero)


@relative_iou.register_fake
def _(
    boxes: Tensor, labels: Tensor, anchors: Tensor, with_moments: bool, only_nonzero: bool
) -> tuple[Tensor, Tensor]:
    del with_moments, only_nonzero
    batch = len(labels)
    return (
        boxes.new_empty(batch, anchors.shape[-2]),
        boxes.new_empty(batch, 3, dtype=torch.float64),
    )


@custom_op("sobench::in_regions", mutates_args=(), device_types="cuda")
def in_regions(regions: Tensor, boxes: Tensor) -> Tensor:
    """As ``matching.in_ignored``, bit for bit."""
    from sobench.models.parts import kernels

    return kernels.in_regions(regions, boxes)


@in_regions.register_fake
def _(regions: Tensor, boxes: Tensor) -> Tensor:
    return regions.new_empty(len(regions), boxes.shape[-2], dtype=torch.bool)
