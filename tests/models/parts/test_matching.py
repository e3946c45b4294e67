"""Matching of anchors to objects against hand values and torchvision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torchvision import ops
from torchvision.models.detection._utils import Matcher

from sobench.data.targets import Targets
from sobench.models.parts import matching
from sobench.models.parts.matching import IGNORED, NEGATIVE, match, matched_targets
from sobench.models.parts.overlaps import NearPairs, near_pairs, padded_count
from tests.models.parts.random_boxes import Boxes, octave_anchors, random_boxes
from tests.models.small_config import no_padding

LowQuality = Literal["all", "bipartite", "none"]


def targets(
    boxes: list[Boxes],
    ignore: list[Boxes] | None = None,
    padding: tuple[float, ...] = (0, 0, 0, 0),
) -> Targets:
    """Boxes of each image, padded to one more than the most of any; labels count up from 0."""
    longest = max(len(image) for image in boxes) + 1
    regions = ignore or [[] for _ in boxes]
    most_regions = max(len(image) for image in regions)
    return Targets(
        torch.tensor([[*image, *[padding] * (longest - len(image))] for image in boxes]).float(),
        torch.tensor([[*range(len(image)), *[-1] * (longest - len(image))] for image in boxes]),
        torch.tensor([[*image, *[(0.0,) * 4] * (most_regions - len(image))] for image in regions])
        .float()
        .reshape(len(boxes), most_regions, 4),
        no_padding(len(boxes)),
    )


def matches_of(target: Targets, anchors: Boxes, low_quality: LowQuality = "all") -> list[list[int]]:
    """``match`` with the thresholds .5 and .4, as lists."""
    boxes = torch.tensor(anchors)
    matches = match(target, boxes, pos_iou=0.5, neg_iou=0.4, low_quality=low_quality)
    return [image.tolist() for image in matches]


def test_thresholds() -> None:
    target = targets([[(0, 0, 10, 10)]])
    # IoU 1, .5 (is an object), .49, .4 (is not yet background), .39, 0.
    anchors: Boxes = [
        (0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 4.9),
        (0, 0, 10, 4), (0, 0, 10, 3.9), (50, 50, 60, 60),
    ]  # fmt: skip
    expected = [0, 0, IGNORED, IGNORED, NEGATIVE, NEGATIVE]
    assert matches_of(target, anchors, low_quality="none") == [expected]
    assert matches_of(target, anchors) == [expected]


def test_an_anchor_takes_the_object_that_it_overlaps_most() -> None:
    target = targets([[(0, 0, 10, 6), (0, 0, 10, 9), (0, 0, 10, 7)]])
    assert matches_of(target, [(0, 0, 10, 10)], low_quality="none") == [[1]]


def test_of_equal_objects_the_first_is_taken() -> None:
    target = targets([[(0, 0, 10, 9), (0, 1, 10, 10)]])
    assert matches_of(target, [(0, 0, 10, 10)], low_quality="none") == [[0]]


def test_a_low_quality_match_gives_an_object_all_its_best_anchors() -> None:
    target = targets([[(100, 100, 104, 104)]])
    anchors: Boxes = [(98, 98, 108, 108), (96, 96, 106, 106), (99, 99, 119, 119), (0, 0, 10, 10)]
    # IoU .16, .16, .04 and 0.
    assert matches_of(target, anchors) == [[0, 0, NEGATIVE, NEGATIVE]]
    assert matches_of(target, anchors, low_quality="none") == [[NEGATIVE] * 4]


def test_of_two_objects_that_claim_one_anchor_the_last_gets_it() -> None:
    anchor: Boxes = [(0, 0, 10, 10)]
    assert matches_of(targets([[(0, 0, 4, 4), (6, 6, 10, 10)]]), anchor) == [[1]]
    assert matches_of(targets([[(0, 0, 10, 9), (0, 0, 3, 3)]]), anchor) == [[1]]  # IoU .9 and .09
    assert matches_of(targets([[(0, 0, 3, 3), (0, 0, 10, 9)]]), anchor) == [[1]]


def test_a_bipartite_match_gives_every_object_an_anchor_of_its_own() -> None:
    # Both objects lie inside the last three anchors and overlap these equally.
    target = targets([[(10, 10, 14, 14), (20, 20, 22, 22)]])
    anchors: Boxes = [(100, 100, 130, 130), (0, 0, 30, 30), (1, 1, 31, 31), (2, 2, 32, 32)]
    assert matches_of(target, anchors) == [[NEGATIVE, 1, 1, 1]]
    assert matches_of(target, anchors, low_quality="bipartite") == [[NEGATIVE, 0, 1, NEGATIVE]]
    far = targets([[(300, 300, 310, 310)]])
    assert matches_of(far, anchors, low_quality="bipartite") == [[NEGATIVE] * 4]
    # An anchor of high IoU goes to the object that has no other.
    assert matches_of(
        targets([[(0, 0, 10, 10), (0, 0, 10, 9)]]), [(0, 0, 10, 10)], low_quality="bipartite"
    ) == [[0]]


def test_an_object_that_no_anchor_touches_has_no_low_quality_match() -> None:
    anchors: Boxes = [(0, 0, 10, 10), (10, 0, 20, 10)]
    assert matches_of(targets([[(50, 50, 60, 60)]]), anchors) == [[NEGATIVE, NEGATIVE]]


def test_padding_is_never_matched() -> None:
    target = targets([[(0, 0, 10, 10)], []], padding=(20, 20, 30, 30))
    anchors: Boxes = [(0, 0, 10, 10), (20, 20, 30, 30)]
    assert matches_of(target, anchors) == [[0, NEGATIVE], [NEGATIVE, NEGATIVE]]


def test_no_objects_at_all() -> None:
    anchors: Boxes = [(0, 0, 10, 10), (-5, -5, 5, 5)]
    assert matches_of(targets([[], []]), anchors) == [[NEGATIVE] * 2] * 2
    boxes, labels = matched_targets(targets([[], []]), torch.full((2, 2), NEGATIVE))
    assert boxes.shape == (2, 2, 4)
    assert (labels >= 0).all()


def test_ignore_regions_take_only_background_and_only_by_more_than_half() -> None:
    target = targets([[(0, 0, 10, 10)], []], ignore=[[(0, 0, 30, 10)], []])
    anchors: Boxes = [
        (0, 0, 10, 10),  # an object in the region stays one
        (12, 0, 22, 10),  # wholly inside
        (25, 0, 35, 10),  # half inside
        (24, 0, 34, 10),  # six tenths inside
        (50, 50, 60, 60),
    ]
    assert matches_of(target, anchors) == [
        [0, IGNORED, NEGATIVE, IGNORED, NEGATIVE],
        [NEGATIVE] * 5,
    ]


def test_every_image_may_have_anchors_of_its_own() -> None:
    target = targets([[(0, 0, 10, 10)], [(0, 0, 10, 10)]])
    anchors = torch.tensor([[[0.0, 0, 10, 10]], [[50, 50, 60, 60]]])
    assert match(target, anchors, 0.5, 0.4).tolist() == [[0], [NEGATIVE]]


def crowded() -> tuple[Targets, Tensor]:
    """Two images of 900 and 600 objects, the same box for two of them, with ignore regions."""
    labels = torch.arange(900).repeat(2, 1) % 10
    labels[1, 600:] = -1
    target = Targets(
        random_boxes(2, 450, seed=3, extent=256).repeat(1, 2, 1),
        labels,
        random_boxes(2, 40, seed=4, extent=256, side=25),
        no_padding(2),
    )
    return target, octave_anchors(((8, 8), (4, 4)), (32, 64), 32.0, 1, (0.5, 1.0, 2.0))


@pytest.mark.parametrize(("max_pairs", "count"), [(1, 60), (2000, 900), (12_345, 900)])
def test_groups_of_objects_change_nothing(
    max_pairs: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, anchors = crowded()
    target = replace(target, boxes=target.boxes[:, :count], labels=target.labels[:, :count])
    whole = match(target, anchors, 0.5, 0.4)
    assert {NEGATIVE, IGNORED} < set(whole.flatten().tolist())
    largest = 0

    def watched(*arguments: Any) -> NearPairs:
        nonlocal largest
        pairs = near_pairs(*arguments)
        largest = max(largest, pairs.iou.numel())
        return pairs

    monkeypatch.setattr(matching, "MAX_PAIRS", max_pairs)
    monkeypatch.setattr(matching, "near_pairs", watched)
    assert torch.equal(match(target, anchors, 0.5, 0.4), whole)
    objects = max(1, max_pairs // len(anchors))  # a group has at least one object
    assert 0 < largest <= objects * padded_count(len(anchors))


def test_a_batch_is_matched_like_its_images() -> None:
    target, anchors = crowded()
    whole = match(target, anchors, 0.5, 0.4)
    for index in range(2):
        part = slice(index, index + 1)
        alone = Targets(
            target.boxes[part], target.labels[part], target.ignore[part], target.borders[part]
        )
        assert torch.equal(match(alone, anchors, 0.5, 0.4)[0], whole[index])


@pytest.mark.parametrize("low_quality", ["all", "none"])
def test_matching_is_torchvisions_matcher(low_quality: LowQuality) -> None:
    """They agree on all but the object of a low-quality match.

    torchvision gives the anchor the object that it overlaps most, so that the other object may
    remain unmatched; here, as in MMDetection, it gets an object that has no better anchor.
    """
    anchors = octave_anchors(((16, 16), (8, 8)), (16, 32), 24.0, 2, (0.5, 1.0, 2.0))
    boxes = random_boxes(1, 60, seed=5, extent=250, side=60)
    labels = torch.zeros(1, 60, dtype=torch.int64)
    target = Targets(boxes, labels, torch.zeros(1, 0, 4), no_padding(1))
    iou = ops.box_iou(boxes[0], anchors)
    theirs = Matcher(0.5, 0.4, allow_low_quality_matches=low_quality == "all")(iou)
    ours = match(target, anchors, 0.5, 0.4, low_quality)[0]
    lifted = (iou == iou.amax(dim=1, keepdim=True)).any(dim=0) & (low_quality == "all")
    assert torch.equal(ours[~lifted], theirs[~lifted])
    assert torch.equal(ours >= 0, theirs >= 0)
    assert (ours >= 0).sum() > 60
    for anchor in lifted.nonzero().flatten().tolist():
        assert iou[ours[anchor], anchor] == iou[ours[anchor]].max()


def test_matched_targets_are_box_and_label_of_each_anchors_object() -> None:
    target = targets([[(0, 0, 1, 1), (2, 2, 3, 3)], [(4, 4, 5, 5)]])
    boxes, labels = matched_targets(target, torch.tensor([[1, 0], [NEGATIVE, 0]]))
    assert boxes[0].tolist() == [[2, 2, 3, 3], [0, 0, 1, 1]]
    assert boxes[1, 1].tolist() == [4, 4, 5, 5]
    assert labels[0].tolist() == [1, 0]
    assert labels[1, 1] == 0


def test_anchors_wholly_in_the_padding_take_no_part() -> None:
    """Of an image of 100 x 60 pixels; another one in the batch fills the canvas."""
    target = targets([[(0, 0, 10, 10)], [(0, 0, 10, 10)]])
    borders = torch.tensor([[-torch.inf, -torch.inf, 100, 60]])
    target = replace(target, borders=torch.cat((borders, no_padding(1))))
    anchors: Boxes = [
        (0, 0, 10, 10), (99, 0, 109, 10), (100, 0, 110, 10), (0, 59, 10, 69), (0, 60, 10, 70),
        (200, 200, 210, 210), (-20, -20, -10, -10),
    ]  # fmt: skip
    assert matches_of(target, anchors) == [
        [0, NEGATIVE, IGNORED, NEGATIVE, IGNORED, IGNORED, NEGATIVE],
        [0, *[NEGATIVE] * 6],
    ]


def test_padding_may_lie_left_and_above_and_anchors_be_of_each_image() -> None:
    target = replace(targets([[], []]), borders=torch.tensor([[10.0, 20, 50, 60]] * 2))
    anchors = torch.tensor([
        [[0.0, 30, 10, 40], [0, 30, 11, 40], [20, 10, 30, 20], [20, 10, 30, 21]],
        [[50.0, 30, 60, 40], [49, 30, 60, 40], [20, 60, 30, 70], [5, 5, 70, 70]],
    ])  # fmt: skip
    assert match(target, anchors, 0.5, 0.4).tolist() == [
        [IGNORED, NEGATIVE, IGNORED, NEGATIVE],
        [IGNORED, NEGATIVE, IGNORED, NEGATIVE],
    ]


def test_an_object_keeps_its_anchor_however_far_out() -> None:
    """Boxes are clipped to the image, so this cannot come from a batch; but no match is lost."""
    borders = torch.tensor([[-torch.inf, -torch.inf, 5, 5]])
    target = replace(targets([[(20, 20, 30, 30)]]), borders=borders)
    assert matches_of(target, [(20, 20, 30, 30), (40, 40, 50, 50)]) == [[0, IGNORED]]
