"""One-to-one matching, against the loop over pairs that it stands for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.parts import bipartite
from sobench.models.parts.bipartite import bipartite_match
from sobench.models.parts.boxes import box_iou
from tests.models.parts.random_boxes import random_boxes
from tests.models.small_config import no_padding


def padded(boxes: Tensor, real: int) -> Targets:
    """Targets of ``[B, G, 4]`` boxes, of which the first ``real`` of each image count."""
    labels = torch.zeros(boxes.shape[:2], dtype=torch.int64)
    labels[:, real:] = -1
    return Targets(boxes, labels, boxes.new_zeros(len(boxes), 0, 4), no_padding(len(boxes)))


def by_pairs(boxes: Tensor, anchors: Tensor) -> list[int]:
    """Take the pair with the greatest IoU, remove both, and go on: the object of each anchor."""
    iou = box_iou(boxes[None], anchors)[0]
    objects = [-1] * len(anchors)
    while iou.max() > 0:
        row, column = divmod(int(iou.argmax()), len(anchors))
        objects[column] = row
        iou[row] = 0
        iou[:, column] = 0
    return objects


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("objects", "anchors"), [(5, 3), (30, 40), (40, 30), (70, 300)])
@pytest.mark.parametrize("candidates", [1, 2, 16])
def test_it_is_the_greedy_loop_over_pairs(
    objects: int, anchors: int, seed: int, candidates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bipartite, "_CANDIDATES", candidates)
    monkeypatch.setattr(bipartite, "MAX_PAIRS", 1000)
    boxes = random_boxes(2, objects, seed=seed, extent=90)
    anchor_boxes = random_boxes(2, anchors, seed=100 + seed, extent=90)
    matches = bipartite_match(padded(boxes, objects - 2), anchor_boxes)
    for image in range(2):
        expected = by_pairs(boxes[image, : objects - 2], anchor_boxes[image])
        assert matches[image].tolist() == expected


def test_a_chain_of_objects_that_put_one_another_off() -> None:
    # Each object overlaps its own anchor, and more so the one that the next object wants.
    boxes = torch.tensor([[(10.0 * i, 0, 10 * i + 10, 10) for i in range(20)]])
    anchors = torch.tensor([(10.0 * i + 6, 0, 10 * i + 16, 10) for i in range(-1, 20)])
    assert by_pairs(boxes[0], anchors) == bipartite_match(padded(boxes, 20), anchors)[0].tolist()
    matched = bipartite_match(padded(boxes, 20), anchors)[0]
    assert sorted(matched[matched >= 0].tolist()) == list(range(20))


def test_of_equal_pairs_the_first_anchor_and_the_first_object_count() -> None:
    boxes = torch.tensor([[(4.0, 4, 6, 6), (5.0, 5, 7, 7)]])
    anchors = torch.tensor([(0.0, 0, 10, 10)] * 3)
    assert bipartite_match(padded(boxes, 2), anchors).tolist() == [[0, 1, -1]]


def test_objects_without_a_free_anchor_stay_without() -> None:
    boxes = torch.tensor([[(0.0, 0, 9, 9), (0.0, 0, 8, 8), (50.0, 50, 60, 60)]])
    anchors = torch.tensor([(0.0, 0, 10, 10), (30.0, 30, 40, 40)])
    assert bipartite_match(padded(boxes, 3), anchors).tolist() == [[0, -1]]
    none = torch.zeros(1, 1, 4)
    assert bipartite_match(padded(none, 0), anchors).tolist() == [[-1, -1]]
