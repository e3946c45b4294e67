"""Regions against hand values: proposals, levels, pooling and box heads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sobench.models.parts.roi import (
    TwoMLPHead,
    best_iou,
    filter_proposals,
    multiscale_roi_align,
    pooled_strides,
    roi_levels,
)
from sobench.suite.network import Regions
from tests.models.small_config import SIZE, targets

SETTINGS = Regions(pre_nms_top_n=50, post_nms_top_n=20, batch_size_per_image=8, channels=16)


def test_proposals_pass_nms_within_a_level_and_an_image() -> None:
    a, b, far = [0.0, 0, 20, 20], [1.0, 0, 21, 20], [40.0, 30, 60, 50]  # a and b: IoU .9
    outside, edge = [-30.0, 0, -5, 20], [80.0, 50, 120, 90]
    fine = torch.tensor([[a, b, far], [outside, a, [5.0, 5, 5, 9]]])
    fine_scores = torch.tensor([[1.0, 3, 2], [9, -4, 9]])
    coarse = torch.tensor([[b, edge], [a, outside]])
    coarse_scores = torch.tensor([[0.5, 2.5], [-2, torch.nan]])
    levels = [(fine, fine_scores), (coarse, coarse_scores)]
    proposals = filter_proposals(levels, SIZE, SETTINGS)
    assert proposals.real.tolist() == [[True, True, True, True, False], [True, True] + [False] * 3]
    clipped = [80.0, 50, 96, 64]
    padding = [0.0] * 4
    assert proposals.boxes[0].tolist() == [b, clipped, far, b, padding]
    assert proposals.boxes[1].tolist() == [a, a, padding, padding, padding]
    best_two = filter_proposals(levels, SIZE, SETTINGS.model_copy(update={"post_nms_top_n": 2}))
    assert best_two.boxes[0].tolist() == [b, clipped]
    lenient = filter_proposals(levels, SIZE, SETTINGS.model_copy(update={"nms": 0.95}))
    assert lenient.real.sum(dim=1).tolist() == [5, 2]


def test_proposals_of_a_batch_are_those_of_its_images() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(4, 300, 2, generator=generator) * 60
    side = 1 + torch.rand(4, 300, 2, generator=generator) * 6
    boxes = torch.cat((corner, corner + side), dim=-1)
    scores = torch.randn(4, 300, generator=generator)
    settings = SETTINGS.model_copy(update={"post_nms_top_n": 200})
    levels = [(boxes[:, a:b], scores[:, a:b]) for a, b in ((0, 200), (200, 300))]
    together = filter_proposals(levels, SIZE, settings)
    for index in range(4):
        alone = filter_proposals(
            [(b[index : index + 1], s[index : index + 1]) for b, s in levels], SIZE, settings
        )
        assert torch.equal(alone.boxes[0], together.boxes[index])
        assert torch.equal(alone.real[0], together.real[index])


def test_best_iou_leaves_padding_out() -> None:
    truth = targets([[(0, 0, 10, 10), (0, 0, 20, 10)], []], [[0, 1], []])
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 15, 10], [0, 0, 0, 0]]]).repeat(2, 1, 1)
    assert torch.allclose(best_iou(truth, boxes), torch.tensor([[1, 0.75, 0], [0, 0, 0]]))


def test_the_level_of_a_region_follows_its_side() -> None:
    sides = [(224, 224), (112, 112), (111.9, 111.9), (448, 448), (56, 224), (447, 447), (900, 900)]
    boxes = torch.tensor([[10.0, 20.0, 10 + w, 20 + h] for w, h in sides])
    levels = 2 + roi_levels(boxes, (4, 8, 16, 32))
    assert levels.tolist() == [4, 3, 2, 5, 3, 4, 5]  # 900 would be of level 6
    empty = torch.tensor([[5.0, 5.0, 5.0, 9.0], [0.0, 0.0, 0.0, 0.0], [3.0, 3.0, 7.0, 7.0]])
    assert roi_levels(empty, (4, 8, 16, 32)).tolist() == [0, 0, 0]
    # Other pyramids: a level keeps its number, and regions beyond them go to the nearest level.
    assert roi_levels(boxes, (4,)).tolist() == [0] * 7
    assert roi_levels(boxes, (8, 16)).tolist() == [1, 0, 0, 1, 0, 1, 1]
    assert roi_levels(boxes, (2, 4, 8, 16, 32)).tolist() == [3, 2, 1, 4, 2, 3, 4]


@pytest.mark.parametrize(
    ("strides", "pooled"),
    [
        ((4, 8, 16, 32, 64), (4, 8, 16, 32)),
        ((8, 16, 32, 64, 128), (8, 16, 32)),
        ((4,), (4,)),
        ((2, 4, 8, 16, 32, 64), (2, 4, 8, 16, 32)),
    ],
)
def test_levels_above_the_backbones_are_not_pooled_from(
    strides: tuple[int, ...], pooled: tuple[int, ...]
) -> None:
    assert pooled_strides(strides) == pooled


def ramps(strides: tuple[int, ...], size: int, images: int) -> list[Tensor]:
    """Channels: x and y of the cell's centre in the image, the stride, the number of the image."""
    maps = []
    for stride in strides:
        centre = (torch.arange(size // stride) + 0.5) * stride
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        number = torch.arange(float(images)).view(-1, 1, 1).expand(-1, *x.shape)
        plane = torch.stack((x, y, torch.full_like(x, stride))).expand(images, -1, -1, -1)
        maps.append(torch.cat((plane, number.unsqueeze(1)), dim=1))
    return maps


def test_pooling_reads_the_right_place_level_and_image() -> None:
    strides = (4, 8, 16, 32)
    boxes = torch.tensor(
        [[64.0, 32.0, 64 + 224, 32 + 280], [8, 16, 36, 30], [100, 50, 212, 162], [9, 9, 10, 10]]
    )
    image = torch.tensor([1, 0, 2, 1])
    pooled = multiscale_roi_align(ramps(strides, 512, 3), strides, boxes, image, 7)
    assert pooled.shape == (4, 4, 7, 7)
    assert pooled[:, 2, 3, 3].tolist() == [16, 4, 8, 4]
    assert pooled[:, 3, 0, 6].tolist() == [1, 0, 2, 1]
    for box, values in zip(boxes.tolist(), pooled, strict=True):
        bins = (
            torch.arange(7) + 0.5
        )  # the mean of even samples of a ramp is its value at their centre
        x, y = box[0] + bins * (box[2] - box[0]) / 7, box[1] + bins * (box[3] - box[1]) / 7
        assert torch.allclose(values[0], x.expand(7, 7), rtol=1e-5)
        assert torch.allclose(values[1], y.unsqueeze(1).expand(7, 7), rtol=1e-5)
    finer = multiscale_roi_align(ramps((4,), 512, 3), (4,), boxes, image, 14)
    assert finer.shape == (4, 4, 14, 14)
    assert set(finer[:, 2].flatten().tolist()) == {4.0}


def test_pooling_passes_gradients_to_maps_and_none_to_boxes() -> None:
    maps = [torch.rand(1, 2, 16, 16, requires_grad=True), torch.rand(1, 2, 8, 8).requires_grad_()]
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]], requires_grad=True)
    pooled = multiscale_roi_align(maps, (4, 8), boxes, torch.tensor([0]), 7)
    pooled.sum().backward()  # type: ignore[no-untyped-call]
    assert maps[0].grad is not None
    assert maps[0].grad.sum().item() == pytest.approx(2 * 49)
    assert boxes.grad is None
    no_regions = multiscale_roi_align(
        maps, (4, 8), boxes[:0], torch.tensor([], dtype=torch.int64), 7
    )
    assert no_regions.shape == (0, 2, 7, 7)


def test_two_fully_connected_layers() -> None:
    head = TwoMLPHead(2, 5)
    assert (head.resolution, head.outputs) == (7, 5)
    limit = (6 / (98 + 5)) ** 0.5
    assert limit * 0.9 < head.first.weight.abs().max().item() <= limit
    assert not head.first.bias.any()
    with torch.no_grad():
        head.first.weight.fill_(1)
        head.second.weight.copy_(-torch.eye(5))
        head.second.bias.fill_(200)
    pooled = torch.ones(3, 2, 7, 7)
    pooled[1] = -1
    pooled[2] = 3
    assert head(pooled).tolist() == [[102.0] * 5, [200.0] * 5, [0.0] * 5]
