"""Which object each anchor or region is matched to: batched, and shared by every head."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts import fused
from sobench.models.parts.bipartite import bipartite_match
from sobench.models.parts.boxes import box_ioa, box_iou
from sobench.models.parts.overlaps import near_pairs, padded_count

NEGATIVE = -1
"""Match of an anchor that is background."""
IGNORED = -2
"""Match of an anchor that takes no part in the loss."""

MAX_PAIRS = 2**25
"""Anchor-object pairs in memory at once while matching: an image may hold 900 objects."""


@torch.no_grad()
def match(
    targets: Targets,
    anchors: Tensor,
    pos_iou: float,
    neg_iou: float,
    low_quality: Literal["all", "bipartite", "none"] = "all",
) -> Tensor:
    """Match every anchor to an object, to the background, or to neither.

    An anchor takes the object that it overlaps most if that IoU is at least ``pos_iou``; below
    ``neg_iou`` it is background. A low-quality match also gives an object the anchors that overlap
    it most, however little (but not those that do not overlap it): ``all`` of them, as in RetinaNet
    and MMDetection, which are many if a small object lies inside anchors of one size; if several
    objects claim one anchor, the last gets it, as in MMDetection. With ``bipartite`` every object
    gets one anchor of its own, as in SSD and RefineDet; see ``bipartite_match``. Background anchors
    of which more than half lies in an ignore region take no part, nor do those that lie wholly in
    the padding.

    Args:
        anchors: ``[A, 4]``, or ``[B, A, 4]`` if every image has anchors of its own.

    Returns:
        ``[B, A]`` int64: index into ``targets.boxes``, ``NEGATIVE`` or ``IGNORED``.
    """
    best_iou, best_object, low_quality_object = best_overlaps(
        targets, anchors, neg_iou, with_claims=low_quality == "all"
    )
    if low_quality == "bipartite":
        low_quality_object = bipartite_match(targets, anchors)
    # Later lines win: background, then objects by IoU, then low-quality matches.
    matches = torch.where(best_iou < neg_iou, NEGATIVE, IGNORED)
    matches = torch.where(best_iou >= pos_iou, best_object, matches)
    matches = torch.where(low_quality_object >= 0, low_quality_object, matches)
    # An ignore region may hide objects, so that what lies in it is not known to be background.
    left_out = in_ignored(targets, anchors) | in_padding(targets, anchors)
    return torch.where(left_out & (matches == NEGATIVE), IGNORED, matches)


def best_overlaps(
    targets: Targets, anchors: Tensor, least: float, with_claims: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Who overlaps whom most, by the way that is the quickest on the device.

    Args:
        least: IoU, more than 0, from which on it is asked how great it is, and of which object.
        with_claims: whether the last of the results is asked for.

    Returns:
        ``[B, A]`` of every anchor: the greatest IoU with an object, or another number below
        ``least`` if it is below; this object (of equal ones the first), arbitrary below ``least``;
        and the last of the objects that overlap no anchor more than it, or -1.
    """
    if fused.is_fused(anchors):
        best: tuple[Tensor, Tensor, Tensor] = fused.best_overlaps(
            targets.boxes, targets.labels, anchors, with_claims
        )
        return best
    if anchors.is_cuda:
        return _best_overlaps(targets, anchors, with_claims)
    return _best_overlaps_of_near(targets, anchors, least, with_claims)


def _best_overlaps(
    targets: Targets, anchors: Tensor, with_claims: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """``best_overlaps`` of all images together, which the other ways give bit for bit."""
    batch, count = targets.labels.shape[0], anchors.shape[-2]
    best_iou = anchors.new_zeros(batch, count)
    best_object = targets.labels.new_zeros(batch, count)
    claimed_by = targets.labels.new_full((batch, count), -1)
    step = max(1, MAX_PAIRS // max(1, batch * count))
    # Objects in groups, so that the matrix of overlaps stays small if an image holds hundreds.
    for start in range(0, targets.labels.shape[1], step):
        real = targets.labels[:, start : start + step] >= 0
        iou = box_iou(targets.boxes[:, start : start + step], anchors)
        iou.mul_(real.unsqueeze(-1))
        group_iou, index = iou.max(dim=1)
        better = group_iou > best_iou
        best_iou = torch.where(better, group_iou, best_iou)
        best_object = torch.where(better, index + start, best_object)
        if with_claims:
            top = iou.amax(dim=2, keepdim=True)
            order = torch.arange(start, start + iou.shape[1], device=iou.device)
            last = torch.where((iou == top) & (top > 0), order[None, :, None], -1).amax(dim=1)
            claimed_by = torch.maximum(claimed_by, last)
    return best_iou, best_object, claimed_by


def _best_overlaps_of_near(
    targets: Targets, anchors: Tensor, least: float, with_claims: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """``best_overlaps`` where nobody waits to be told which objects are real, and where they are.

    Neither padding, which is most of a batch that has one crowded image, nor most of the anchors
    that an object hardly overlaps then cost anything.
    """
    batch, count = len(targets.labels), anchors.shape[-2]
    images, places = (targets.labels >= 0).nonzero(as_tuple=True)
    whole = batch * padded_count(count)
    best_iou, best_object = anchors.new_zeros(whole), places.new_zeros(whole)
    claimed_by = places.new_full((whole,), -1)
    step = max(1, MAX_PAIRS // max(1, count))
    for image, place in zip(torch.split(images, step), torch.split(places, step), strict=True):
        pairs = near_pairs(targets.boxes[image, place], image, anchors, batch, least)
        group_iou = pairs.best_iou()
        better = group_iou > best_iou
        best_iou = torch.where(better, group_iou, best_iou)
        # Of equal objects the first: one of an earlier group, else the one in the first place.
        iou, box, anchor = pairs.at_least(least)
        is_best = (iou == best_iou[anchor]) & better[anchor]
        box, anchor = box[is_best], anchor[is_best]
        best_object.scatter_reduce_(0, anchor, place[box], "amin", include_self=False)
        if with_claims:
            box, anchor = pairs.best_of_boxes(len(place))
            claimed_by.scatter_reduce_(0, anchor, place[box], "amax")
    best_iou, best_object, claimed_by = (
        x.view(batch, -1)[:, :count] for x in (best_iou, best_object, claimed_by)
    )
    return best_iou, best_object, claimed_by


def in_ignored(targets: Targets, boxes: Tensor) -> Tensor:
    """``[B, A]`` bool, whether more than half of the area of a box lies in one ignore region.

    The one rule by which anchors, proposals and cells of a map take no part as background.

    Args:
        boxes: ``[A, 4]``, or ``[B, A, 4]`` if every image has boxes of its own.
    """
    if fused.is_fused(boxes):
        found: Tensor = fused.in_regions(targets.ignore, boxes)
        return found
    batch, count = targets.labels.shape[0], boxes.shape[-2]
    inside = torch.zeros(batch, count, dtype=torch.bool, device=boxes.device)
    step = max(1, MAX_PAIRS // max(1, batch * count))
    # Regions in groups, as objects are while matching.
    for start in range(0, targets.ignore.shape[1], step):
        regions = targets.ignore[:, start : start + step]
        inside |= box_ioa(regions, boxes).amax(dim=1) > 0.5
    return inside


def in_padding(targets: Targets, anchors: Tensor) -> Tensor:
    """``[B, A]`` bool, whether ``[A, 4]`` or ``[B, A, 4]`` anchors lie wholly in the padding."""
    x1, y1, x2, y2 = targets.borders.unsqueeze(-1).unbind(dim=1)
    beyond = (anchors[..., 0] >= x2) | (anchors[..., 1] >= y2)
    return beyond | (anchors[..., 2] <= x1) | (anchors[..., 3] <= y1)


def matched_targets(targets: Targets, matches: Tensor) -> tuple[Tensor, Tensor]:
    """Box ``[B, A, 4]`` and label ``[B, A]`` of each anchor's object; arbitrary without one.

    Args:
        matches: ``[B, A]`` int64, as from ``match``.
    """
    index = matches.clamp(min=0)
    boxes = targets.boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
    return boxes, targets.labels.gather(1, index).clamp(min=0)
