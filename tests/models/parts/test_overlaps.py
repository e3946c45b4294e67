"""On a CPU only real boxes cost anything, and every number is that of the whole padded batch."""

from __future__ import annotations

import pytest
import torch

from sobench.data.targets import Targets
from sobench.models.methods.zoominnet import distillation
from sobench.models.parts import bipartite, matching
from sobench.models.parts.boxes import box_iou
from sobench.models.parts.overlaps import real_boxes, tiled_iou
from tests.models.parts.random_boxes import octave_anchors, random_boxes
from tests.models.small_config import no_padding

COUNTS = (37, 0, 5, 1)
"""Objects of each image; the others are padding."""

ANCHORS = octave_anchors(((25, 25), (13, 13)), (8, 16), 12.0, 3, (0.5, 1.0, 2.0))


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
    for overlaps in (matching._best_overlaps, matching._best_overlaps_by_image):
        for mine, theirs in zip(overlaps(crowded(), anchors, with_claims), expected, strict=True):
            assert torch.equal(mine, theirs)
    assert (expected[0] > 0).any()
    assert bool((expected[2] >= 0).any()) == with_claims


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
    expected = distillation._relative_iou(crowded(), ANCHORS, mode)
    assert torch.equal(found[0], expected[0])
    assert torch.allclose(found[1], expected[1], rtol=1e-14)
    assert bool(found[1].any()) == (mode != "fixed")
