"""On a CPU only real boxes cost anything, and every number is that of the whole padded batch."""

from __future__ import annotations

import pytest
import torch

from sobench.data.targets import Targets
from sobench.models.methods.zoominnet import distillation
from sobench.models.parts import bipartite, matching
from sobench.models.parts.boxes import box_iou
from sobench.models.parts.overlaps import near_pairs, padded_count, real_boxes, tiled_iou
from tests.models.parts.random_boxes import octave_anchors, random_boxes
from tests.models.small_config import no_padding

COUNTS = (37, 0, 5, 1)
"""Objects of each image; the others are padding."""

ANCHORS = octave_anchors(((25, 25), (13, 13)), (8, 16), 12.0, 3, (0.5, 1.0, 2.0))


LEAST = 0.3


def crowded() -> Targets:
    """Objects that share anchors, twins among them, with padding at the end and in between."""
    boxes = random_boxes(len(COUNTS), max(COUNTS), seed=0, side=30.0).round()
    labels = torch.full((len(COUNTS), max(COUNTS)), -1)
    for image, count in enumerate(COUNTS):
        labels[image, :count] = 1
    boxes[0, 20:24] = boxes[0, 3]
    labels[0, 10] = -1
    return Targets(boxes, labels, torch.zeros(len(COUNTS), 0, 4), no_padding(len(COUNTS)))


def test_tiles_give_the_bits_of_the_whole() -> None:
    boxes = random_boxes(50, seed=1)
    assert len(ANCHORS) > 2 * 1024
    assert torch.equal(tiled_iou(boxes, ANCHORS), box_iou(boxes[None], ANCHORS)[0])
    assert tiled_iou(boxes[:0], ANCHORS).shape == (0, len(ANCHORS))


def test_real_boxes_keep_their_places() -> None:
    truth = crowded()
    groups = list(real_boxes(truth, 20))
    assert [(image, len(boxes)) for image, boxes, _ in groups] == [(0, 20), (0, 16), (2, 5), (3, 1)]
    for image, boxes, places in groups:
        assert torch.equal(boxes, truth.boxes[image, places])
        assert (truth.labels[image, places] >= 0).all()


@pytest.mark.parametrize("max_pairs", [2**25, 3 * len(ANCHORS)])
@pytest.mark.parametrize("of_images", [False, True])
@pytest.mark.parametrize("with_claims", [False, True])
def test_best_overlaps_are_those_of_the_padded_batch(
    monkeypatch: pytest.MonkeyPatch, max_pairs: int, of_images: bool, with_claims: bool
) -> None:
    """Also with anchors of each image, and with objects in groups."""
    anchors = random_boxes(len(COUNTS), 3000, seed=2) if of_images else ANCHORS
    expected = matching._best_overlaps(crowded(), anchors, with_claims)
    monkeypatch.setattr(matching, "MAX_PAIRS", max_pairs)
    whole = matching._best_overlaps(crowded(), anchors, with_claims)
    near = matching._best_overlaps_of_near(crowded(), anchors, LEAST, with_claims)
    for mine, theirs in zip(whole, expected, strict=True):
        assert torch.equal(mine, theirs)
    asked = expected[0] >= LEAST
    assert torch.equal(near[0][asked], expected[0][asked])
    assert (near[0][~asked] < LEAST).all()
    assert torch.equal(near[1][asked], expected[1][asked])
    assert torch.equal(near[2], expected[2])
    assert asked.any()
    assert bool((expected[2] >= 0).any()) == with_claims


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("side", "share"), [(4.0, 0.1), (20.0, 0.1), (120.0, 0.4)])
def test_near_pairs_are_all_that_are_asked_for_and_not_many_others(
    seed: int, side: float, share: float
) -> None:
    """Also with boxes that are smaller or larger than every anchor, and without any area."""
    boxes, image = random_boxes(20, seed=seed, side=side), torch.arange(20) % 3
    boxes[7, 2:] = boxes[7, :2]
    pairs = near_pairs(boxes, image, ANCHORS, batch=3, least=LEAST)
    size = padded_count(len(ANCHORS))
    found = torch.zeros(3, 20, size)
    for iou, box, group in zip(pairs.iou, pairs.box, pairs.group, strict=True):
        of_image, first = divmod(int(group) * iou.shape[0], size)
        found[of_image, box, first : first + iou.shape[0]] = iou
    expected = box_iou(boxes[None], ANCHORS)[0]
    best = expected.amax(dim=1, keepdim=True)
    needed = (expected >= LEAST) | ((expected == best) & (best > 0))
    for index in range(3):
        mine, of_image = found[index, image == index, : len(ANCHORS)], image == index
        assert torch.equal(mine[needed[of_image]], expected[of_image][needed[of_image]])
        assert ((mine == expected[of_image]) | (mine == 0)).all()
        assert not found[index, ~of_image].any()
    assert pairs.iou.numel() < share * expected.numel()


@pytest.mark.parametrize("of_images", [False, True])
def test_the_best_anchors_are_those_of_the_padded_batch(of_images: bool) -> None:
    truth = crowded()
    anchors = random_boxes(len(COUNTS), 3000, seed=2) if of_images else ANCHORS
    found = bipartite._best_anchors_by_image(truth, anchors, 16)
    real = truth.labels >= 0
    iou = box_iou(truth.boxes, anchors) * real.unsqueeze(-1)
    earlier = 1 - 1e-13 * torch.arange(anchors.shape[-2], dtype=torch.float64)
    index = (iou * earlier).topk(16).indices
    assert torch.equal(found[0], iou.gather(2, index))
    overlapping = found[0] > 0
    assert torch.equal(found[1][overlapping], index[overlapping])


@pytest.mark.parametrize("mode", ["literal", "nonzero", "fixed"])
def test_key_positions_are_those_of_the_padded_batch(mode: distillation.LambdaMode) -> None:
    found = distillation._relative_iou_by_image(crowded(), ANCHORS, mode)
    expected = distillation._relative_iou_of_batch(crowded(), ANCHORS, mode)
    assert torch.equal(found[0], expected[0])
    assert torch.allclose(found[1], expected[1], rtol=1e-14)
    assert bool(found[1].any()) == (mode != "fixed")
