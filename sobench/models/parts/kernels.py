"""Overlaps of boxes with anchors on a GPU, by Triton: only real boxes cost, none is in memory.

A program holds a block of anchors in registers, looks at one real box of its image after another,
and writes what is wanted of their overlaps alone. So neither padding nor pairs are paid for. Every
number is, bit for bit, that of the plain code which a function names: products are rounded before
they are added, and quotients are rounded correctly.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 512
"""Anchors of a program."""

_SIZES = ["num_anchors", "num_boxes"]
"""Arguments that differ from batch to batch, for whose values no kernel is compiled anew."""


@triton.jit
def _sides(place, valid):
    """``x1, y1, x2, y2`` of the boxes at these places."""
    x1 = tl.load(place, valid, 0.0)
    y1 = tl.load(place + 1, valid, 0.0)
    x2 = tl.load(place + 2, valid, 0.0)
    y2 = tl.load(place + 3, valid, 0.0)
    return x1, y1, x2, y2


@triton.jit
def _shared(x1, y1, x2, y2, ax1, ay1, ax2, ay2):
    """Area of the intersection of a box with each anchor."""
    width = tl.maximum(tl.minimum(x2, ax2) - tl.maximum(x1, ax1), 0.0)
    height = tl.maximum(tl.minimum(y2, ay2) - tl.maximum(y1, ay1), 0.0)
    return width * height


@triton.jit
def _iou(x1, y1, x2, y2, ax1, ay1, ax2, ay2):
    """As ``box_iou``, of a box with each anchor."""
    shared = _shared(x1, y1, x2, y2, ax1, ay1, ax2, ay2)
    box_area = (x2 - x1) * (y2 - y1)
    anchor_area = (ax2 - ax1) * (ay2 - ay1)
    return tl.div_rn(shared, tl.maximum((box_area + anchor_area) - shared, 1e-9))


@triton.jit(do_not_specialize=_SIZES)
def _objects_kernel(
    boxes, labels, anchors, top, moments, num_anchors, num_boxes, stride,
    with_moments: tl.constexpr, only_nonzero: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Of one object: its greatest IoU, and count, sum and sum of squares of its IoUs."""
    box, image = tl.program_id(0), tl.program_id(1)
    row = image * num_boxes + box
    if tl.load(labels + row) >= 0:
        x1, y1, x2, y2 = _sides(boxes + row * 4, True)
        greatest = tl.zeros((block,), tl.float32)
        counts = tl.zeros((block,), tl.int32)
        sums = tl.zeros((block,), tl.float64)
        squares = tl.zeros((block,), tl.float64)
        for start in range(0, num_anchors, block):
            place = start + tl.arange(0, block)
            valid = place < num_anchors
            ax1, ay1, ax2, ay2 = _sides(anchors + image * stride + place * 4, valid)
            iou = tl.where(valid, _iou(x1, y1, x2, y2, ax1, ay1, ax2, ay2), 0.0)
            greatest = tl.maximum(greatest, iou)
            if with_moments:
                counts += (iou > 0).to(tl.int32) if only_nonzero else valid.to(tl.int32)
                sums += iou.to(tl.float64)
                squares += (iou * iou).to(tl.float64)
        tl.store(top + row, tl.max(greatest, 0))
        if with_moments:
            tl.store(moments + row * 3, tl.sum(counts, 0).to(tl.float64))
            tl.store(moments + row * 3 + 1, tl.sum(sums, 0))
            tl.store(moments + row * 3 + 2, tl.sum(squares, 0))


@triton.jit(do_not_specialize=_SIZES)
def _anchors_kernel(
    boxes, labels, counts, anchors, top, best_iou, best_object, claimed_by,
    num_anchors, num_boxes, stride, with_claims: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Of each anchor: its best object, and the last one that overlaps no anchor more than it."""
    image = tl.program_id(1)
    place = tl.program_id(0) * block + tl.arange(0, block)
    valid = place < num_anchors
    ax1, ay1, ax2, ay2 = _sides(anchors + image * stride + place * 4, valid)
    value = tl.zeros((block,), tl.float32)
    owner = tl.zeros((block,), tl.int64)
    claimed = tl.full((block,), -1, tl.int64)
    for box in range(tl.load(counts + image)):
        row = image * num_boxes + box
        real = tl.load(labels + row) >= 0
        x1, y1, x2, y2 = _sides(boxes + row * 4, True)
        iou = tl.where(real, _iou(x1, y1, x2, y2, ax1, ay1, ax2, ay2), 0.0)
        better = iou > value
        value = tl.where(better, iou, value)
        owner = tl.where(better, box, owner)
        if with_claims:
            claimed = tl.where((iou > 0) & (iou == tl.load(top + row)), box, claimed)
    out = image * num_anchors + place
    tl.store(best_iou + out, value, valid)
    tl.store(best_object + out, owner, valid)
    tl.store(claimed_by + out, claimed, valid)


@triton.jit(do_not_specialize=_SIZES)
def _relative_kernel(
    boxes, labels, counts, anchors, top, relative, num_anchors, num_boxes, stride,
    tiny: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Of each anchor: the greatest share that it has of an object's greatest IoU."""
    image = tl.program_id(1)
    place = tl.program_id(0) * block + tl.arange(0, block)
    valid = place < num_anchors
    ax1, ay1, ax2, ay2 = _sides(anchors + image * stride + place * 4, valid)
    greatest = tl.zeros((block,), tl.float32)
    for box in range(tl.load(counts + image)):
        row = image * num_boxes + box
        real = tl.load(labels + row) >= 0
        x1, y1, x2, y2 = _sides(boxes + row * 4, True)
        iou = tl.where(real, _iou(x1, y1, x2, y2, ax1, ay1, ax2, ay2), 0.0)
        most = tl.maximum(tl.load(top + row), tiny)
        greatest = tl.maximum(greatest, tl.div_rn(iou, tl.zeros((block,), tl.float32) + most))
    tl.store(relative + image * num_anchors + place, greatest, valid)


@triton.jit(do_not_specialize=_SIZES)
def _candidates_kernel(
    boxes, labels, anchors, best_iou, best_index, num_anchors, num_boxes, stride, number,
    width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Of one object: the anchors that it overlaps most, best first, of equal ones the first.

    A key has the bits of an IoU, which order as the IoU does, above those of the anchor's place.
    """
    box, image = tl.program_id(0), tl.program_id(1)
    row = image * num_boxes + box
    best = -1 - tl.arange(0, width).to(tl.int64)
    if tl.load(labels + row) >= 0:
        x1, y1, x2, y2 = _sides(boxes + row * 4, True)
        for start in range(0, num_anchors, block):
            place = start + tl.arange(0, block)
            valid = place < num_anchors
            ax1, ay1, ax2, ay2 = _sides(anchors + image * stride + place * 4, valid)
            iou = tl.where(valid, _iou(x1, y1, x2, y2, ax1, ay1, ax2, ay2), 0.0)
            bits = iou.to(tl.int32, bitcast=True).to(tl.int64)
            keys = tl.where(iou > 0, (bits << 32) + (0x7FFFFFFF - place), -0x7FFFFFFF)
            highest, lowest = tl.max(keys, 0), tl.min(best, 0)
            while highest > lowest:
                best = tl.where(best == lowest, highest, best)
                keys = tl.where(keys == highest, -0x7FFFFFFF, keys)
                highest, lowest = tl.max(keys, 0), tl.min(best, 0)
    for rank in range(number):
        key = tl.max(best, 0)
        best = tl.where(best == key, -0x7FFFFFFF, best)
        key = tl.maximum(key, 0x7FFFFFFF)  # an IoU of 0 with the first anchor, if there is none
        iou = (key >> 32).to(tl.int32).to(tl.float32, bitcast=True)
        tl.store(best_iou + row * number + rank, iou)
        tl.store(best_index + row * number + rank, 0x7FFFFFFF - (key & 0x7FFFFFFF))


@triton.jit(do_not_specialize=["num_anchors", "num_regions"])
def _ignored_kernel(
    regions, anchors, inside, num_anchors, num_regions, stride, block: tl.constexpr
):
    """Of each anchor: whether more than half of it lies in one region."""
    image = tl.program_id(1)
    place = tl.program_id(0) * block + tl.arange(0, block)
    valid = place < num_anchors
    ax1, ay1, ax2, ay2 = _sides(anchors + image * stride + place * 4, valid)
    area = tl.where(valid, (ax2 - ax1) * (ay2 - ay1), 1.0)
    found = tl.zeros((block,), tl.int1)
    for region in range(num_regions):
        x1, y1, x2, y2 = _sides(regions + (image * num_regions + region) * 4, True)
        found = found | (tl.div_rn(_shared(x1, y1, x2, y2, ax1, ay1, ax2, ay2), area) > 0.5)
    tl.store(inside + image * num_anchors + place, found, valid)


def best_overlaps(
    boxes: Tensor, labels: Tensor, anchors: Tensor, with_claims: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``matching._best_overlaps``, whose arguments ``boxes`` and ``labels`` are the targets'."""
    boxes, labels, anchors = boxes.contiguous(), labels.contiguous(), anchors.contiguous()
    sizes = _sizes(labels, anchors)
    shape = len(labels), anchors.shape[-2]
    top = boxes.new_empty(labels.shape)
    best_iou, best_object = boxes.new_empty(shape), labels.new_empty(shape)
    claimed_by = labels.new_empty(shape)
    if with_claims:
        _launch(
            _objects_kernel, _per_object(labels), boxes, labels, anchors, top, top, *sizes,
            with_moments=False, only_nonzero=False,
        )  # fmt: skip
    _launch(
        _anchors_kernel, _per_block(*shape), boxes, labels, _counts(labels), anchors, top, best_iou,
        best_object, claimed_by, *sizes, with_claims=with_claims,
    )  # fmt: skip
    return best_iou, best_object, claimed_by


def relative_iou(
    boxes: Tensor, labels: Tensor, anchors: Tensor, with_moments: bool, only_nonzero: bool
) -> tuple[Tensor, Tensor]:
    """As ``_relative_iou_of_batch`` of ZoomInNet; sums may differ by their rounding."""
    boxes, labels, anchors = boxes.contiguous(), labels.contiguous(), anchors.contiguous()
    sizes = _sizes(labels, anchors)
    shape = len(labels), anchors.shape[-2]
    top, relative = boxes.new_empty(labels.shape), boxes.new_empty(shape)
    moments = boxes.new_zeros(*labels.shape, 3, dtype=torch.float64)
    _launch(
        _objects_kernel, _per_object(labels), boxes, labels, anchors, top, moments, *sizes,
        with_moments=with_moments, only_nonzero=only_nonzero,
    )  # fmt: skip
    _launch(
        _relative_kernel, _per_block(*shape), boxes, labels, _counts(labels), anchors, top,
        relative, *sizes, tiny=torch.finfo(torch.float32).tiny,
    )  # fmt: skip
    return relative, moments.sum(dim=1)


def best_anchors(
    boxes: Tensor, labels: Tensor, anchors: Tensor, number: int
) -> tuple[Tensor, Tensor]:
    """As ``bipartite._best_anchors``, but the places of anchors that do not overlap are 0."""
    boxes, labels, anchors = boxes.contiguous(), labels.contiguous(), anchors.contiguous()
    shape = *labels.shape, number
    iou, index = boxes.new_empty(shape), labels.new_empty(shape)
    _launch(
        _candidates_kernel, _per_object(labels), boxes, labels, anchors, iou, index,
        *_sizes(labels, anchors), number, width=triton.next_power_of_2(number),
    )  # fmt: skip
    return iou, index


def in_regions(regions: Tensor, boxes: Tensor) -> Tensor:
    """As ``matching.in_ignored``, whose argument ``regions`` is ``targets.ignore``."""
    regions, boxes = regions.contiguous(), boxes.contiguous()
    inside = torch.empty(len(regions), boxes.shape[-2], dtype=torch.bool, device=regions.device)
    grid = _per_block(*inside.shape)
    _launch(_ignored_kernel, grid, regions, boxes, inside, *_sizes(regions[..., 0], boxes))
    return inside


def _counts(labels: Tensor) -> Tensor:
    """``[B]`` int32, the place behind the last real box of each image."""
    place = torch.arange(1, labels.shape[1] + 1, dtype=torch.int32, device=labels.device)
    return (place * (labels >= 0)).amax(dim=1)


def _sizes(labels: Tensor, anchors: Tensor) -> tuple[int, int, int]:
    """Numbers of anchors and boxes, and numbers from the anchors of an image to the next one's."""
    count = anchors.shape[-2]
    return count, labels.shape[1], 4 * count if anchors.dim() == 3 else 0


def _per_object(labels: Tensor) -> tuple[int, int]:
    return labels.shape[1], labels.shape[0]


def _per_block(batch: int, count: int) -> tuple[int, int]:
    return triton.cdiv(count, _BLOCK), batch


def _launch(kernel: Any, grid: tuple[int, int], *arguments: Any, **constants: Any) -> None:
    """One program for each place of the grid."""
    if 0 not in grid:
        kernel[grid](*arguments, **constants, block=_BLOCK, enable_fp_fusion=False)
