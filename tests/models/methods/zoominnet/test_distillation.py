"""Key positions and their loss, by hand and against the equations in numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.methods.zoominnet import distillation
from sobench.models.methods.zoominnet.distillation import (
    LambdaMode,
    key_positions,
    key_positions_by_map,
    position_aware_l2,
)
from sobench.models.parts.anchors import AnchorSpec, pyramid_anchors
from sobench.models.parts.overlaps import tiled_iou
from tests.models.small_config import targets

MODES: tuple[LambdaMode, ...] = ("literal", "nonzero", "fixed")
CPU = torch.device("cpu")


# ------------------------------------------------------------------------------- key positions

# A 4x4 map of stride 8 with one square of 8 in every cell, centred in the cell's corner.
HAND_ANCHORS = pyramid_anchors(((4, 4),), (8,), AnchorSpec(((8.0,),), (1.0,)), CPU)
# The first object is the anchor of row 1, column 1. The second shares 5.5 x 5 pixels with the
# anchor of row 2, column 2, 5.5 x 3 with that above, 2.5 x 5 and 2.5 x 3 with those beside.
HAND_BOXES: list[tuple[float, ...]] = [(4.0, 4.0, 12.0, 12.0), (14.5, 9.0, 22.5, 17.0)]


@pytest.mark.parametrize(
    ("mode", "on"),
    [
        # IoUs of 1, .2736, .1480, .1082, .0622 and 27 zeros have mean .0498 and deviation .1797;
        # .2294 * .2736 = .0628.
        ("literal", [(1, 1), (1, 2), (2, 2), (2, 3)]),
        # Without the zeros mean .3184 and deviation .3480; .6664 * .2736 = .1823.
        ("nonzero", [(1, 1), (2, 2)]),
        # .5 * .2736 = .1368.
        ("fixed", [(1, 1), (1, 2), (2, 2)]),
    ],
)
def test_key_positions_by_hand(mode: LambdaMode, on: list[tuple[int, int]]) -> None:
    (mask,) = key_positions(targets([HAND_BOXES], [[0, 1]]), HAND_ANCHORS, [(4, 4)], 1, mode)
    assert mask.shape == (1, 4, 4)
    assert mask.dtype == torch.bool
    assert [tuple(cell) for cell in mask[0].nonzero().tolist()] == on


def test_half_of_the_best_is_not_more_than_half() -> None:
    anchors = torch.tensor([[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 4.0], [0.0, 0.0, 8.0, 5.0]])
    truth = targets([[(0.0, 0.0, 8.0, 8.0)]], [[0]])
    (mask,) = key_positions(truth, anchors, [(1, 3)], 1, "fixed")
    assert mask.tolist() == [[[True, False, True]]]


def by_the_equations(
    boxes: Tensor, anchors: Tensor, sizes: list[tuple[int, int]], num_anchors: int, mode: str
) -> list[Any]:
    """Eq. 11 to 18 for the real objects ``[G, 4]`` of one image, all levels together."""
    a, g = anchors.double().numpy()[:, None], boxes.double().numpy()[None]
    shared = np.clip(
        np.minimum(a[..., 2:], g[..., 2:]) - np.maximum(a[..., :2], g[..., :2]), 0, None
    ).prod(axis=-1)
    areas = [(x[..., 2:] - x[..., :2]).prod(axis=-1) for x in (a, g)]
    iou_map = shared / (areas[0] + areas[1] - shared)
    if mode == "fixed":
        lambda_thresh = 0.5
    else:
        counted = iou_map if mode == "literal" else iou_map[iou_map > 0]
        lambda_thresh = counted.mean() + counted.std() if counted.size else 0.0
    mask = iou_map > lambda_thresh * iou_map.max(axis=0)
    ends = np.cumsum([height * width * num_anchors for height, width in sizes])[:-1]
    return [
        part.any(axis=1).reshape(*size, num_anchors).any(axis=2)
        for part, size in zip(np.split(mask, ends), sizes, strict=True)
    ]


def random_targets(generator: torch.Generator, counts: list[int], side: float) -> Targets:
    rows = []
    for count in counts:
        corner = torch.rand(count, 2, generator=generator) * side
        extent = 3 + torch.rand(count, 2, generator=generator) * side / 3
        rows.append([tuple(row) for row in torch.cat((corner, corner + extent), dim=1).tolist()])
    return targets(rows, [[0] * count for count in counts])


SIZES = [(6, 7), (3, 4)]
SHAPES = AnchorSpec(((10.0, 13.0), (20.0, 27.0)), (0.5, 1.0))
ANCHORS = pyramid_anchors(tuple(SIZES), (8, 16), SHAPES, CPU)


@pytest.mark.parametrize("mode", MODES)
def test_key_positions_are_those_of_the_equations(mode: LambdaMode) -> None:
    """Levels together, images apart; each with its own number of objects."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        counts = [1, 5, 3]
        truth = random_targets(generator, counts, 40.0)
        masks = key_positions(truth, ANCHORS, SIZES, 4, mode)
        for image, count in enumerate(counts):
            expected = by_the_equations(truth.boxes[image, :count], ANCHORS, SIZES, 4, mode)
            for level, mask in enumerate(expected):
                assert masks[level][image].tolist() == mask.tolist()


@pytest.mark.parametrize("mode", MODES)
def test_padding_and_images_without_objects(mode: LambdaMode) -> None:
    """A padded row may hold anything; an image of nothing else has no key position."""
    truth = random_targets(torch.Generator().manual_seed(1), [4, 4], 40.0)
    alone = Targets(truth.boxes[:1, :2], truth.labels[:1, :2], truth.ignore[:1], truth.borders[:1])
    expected = key_positions(alone, ANCHORS, SIZES, 4, mode)
    labels = torch.tensor([[0, 0, -1, -1], [-1, -1, -1, -1]])
    masks = key_positions(replace(truth, labels=labels), ANCHORS, SIZES, 4, mode)
    for with_padding, without in zip(masks, expected, strict=True):
        assert torch.equal(with_padding[:1], without)
        assert not with_padding[1].any()
    assert any(mask.any() for mask in expected)


@pytest.mark.parametrize("mode", MODES)
def test_an_object_that_no_anchor_overlaps(mode: LambdaMode) -> None:
    far = (500.0, 500.0, 510.0, 510.0)
    masks = key_positions(targets([[far]], [[0]]), ANCHORS, SIZES, 4, mode)
    assert not any(mask.any() for mask in masks)
    beside = key_positions(
        targets([[*HAND_BOXES, far]], [[0] * 3]), HAND_ANCHORS, [(4, 4)], 1, mode
    )
    assert beside[0][0, 1, 1]
    assert not beside[0].all()


@pytest.mark.parametrize("mode", MODES)
def test_objects_in_small_groups_give_the_same(
    monkeypatch: pytest.MonkeyPatch, mode: LambdaMode
) -> None:
    truth = random_targets(torch.Generator().manual_seed(2), [11, 7], 40.0)
    whole = key_positions(truth, ANCHORS, SIZES, 4, mode)
    seen: list[int] = []

    def spy(boxes: Tensor, anchors: Tensor) -> Tensor:
        seen.append(len(boxes))
        return tiled_iou(boxes, anchors)

    monkeypatch.setattr(distillation, "MAX_PAIRS", 3 * len(ANCHORS))
    monkeypatch.setattr(distillation, "tiled_iou", spy)
    parts = key_positions(truth, ANCHORS, SIZES, 4, mode)
    assert seen == [3, 3, 3, 2, 3, 3, 1]
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_key_positions_by_map_are_those_of_the_equations_for_one_map(mode: LambdaMode) -> None:
    generator = torch.Generator().manual_seed(0)
    levels = torch.split(ANCHORS, [height * width * 4 for height, width in SIZES])
    other = 0
    for _ in range(20):
        counts = [1, 5, 3]
        truth = random_targets(generator, counts, 40.0)
        masks = key_positions_by_map(truth, ANCHORS, SIZES, 4, mode)
        assert [mask.shape[1:] for mask in masks] == SIZES
        pooled = key_positions(truth, ANCHORS, SIZES, 4, mode)
        other += sum(not torch.equal(a, b) for a, b in zip(masks, pooled, strict=True))
        for level, mask, size in zip(levels, masks, SIZES, strict=True):
            for image, count in enumerate(counts):
                objects = truth.boxes[image, :count]
                (expected,) = by_the_equations(objects, level, [size], 4, mode)
                assert mask[image].tolist() == expected.tolist()
    assert other


def test_by_map_a_small_object_has_key_positions_on_coarse_maps_too() -> None:
    """An anchor of 8 px is the object; those of 32 px, whose sixteenth it is, overlap it best."""
    sizes = [(8, 8), (2, 2)]
    anchors = pyramid_anchors(tuple(sizes), (8, 32), AnchorSpec(((8.0,), (32.0,)), (1.0,)), CPU)
    truth = targets([[(20.0, 20.0, 28.0, 28.0)]], [[0]])
    fine, coarse = key_positions(truth, anchors, sizes, 1, "fixed")
    assert fine.nonzero().tolist() == [[0, 3, 3]]
    assert not coarse.any()
    fine, coarse = key_positions_by_map(truth, anchors, sizes, 1, "fixed")
    assert fine.nonzero().tolist() == [[0, 3, 3]]
    assert coarse.nonzero().tolist() == [[0, 1, 1]]


# ------------------------------------------------------------------------ position-aware L2 loss


def maps(values: list[Any]) -> list[Tensor]:
    return [torch.tensor(value) for value in values]


# Two images, two channels; a level of 1x2 cells and one of a single cell.
STUDENT = [
    [[[[1.0, 0.0]], [[2.0, 0.0]]], [[[0.0, 4.0]], [[0.0, 1.0]]]],
    [[[[1.0]], [[1.0]]], [[[5.0]], [[5.0]]]],
]
TEACHER = [
    [[[[3.0, 9.0]], [[1.0, 9.0]]], [[[9.0, 1.0]], [[9.0, 1.0]]]],
    [[[[1.0]], [[0.5]]], [[[9.0]], [[9.0]]]],
]
MASKS = [[[[True, False]], [[False, True]]], [[[True]], [[False]]]]


def test_position_aware_l2_by_hand() -> None:
    student = [x.requires_grad_() for x in maps(STUDENT)]
    loss = position_aware_l2(student, maps(TEACHER), maps(MASKS))
    # (2^2 + 1^2) and 3^2 on the first level, .5^2 on the second, over three cells.
    assert loss.item() == pytest.approx((5 + 9 + 0.25) / 3)
    loss.backward()  # type: ignore[no-untyped-call]
    first, second = (x.grad for x in student)
    assert first is not None
    assert second is not None
    assert first[0].flatten().tolist() == pytest.approx([-4 / 3, 0, 2 / 3, 0])
    assert first[1].flatten().tolist() == pytest.approx([0, 2, 0, 0])
    assert second.flatten().tolist() == pytest.approx([0, 1 / 3, 0, 0])


def test_position_aware_l2_by_map_by_hand() -> None:
    student = [x.requires_grad_() for x in maps(STUDENT)]
    loss = position_aware_l2(student, maps(TEACHER), maps(MASKS), by_map=True)
    # Two cells of the first level, one of the second.
    assert loss.item() == pytest.approx((5 + 9) / 2 + 0.25)
    loss.backward()  # type: ignore[no-untyped-call]
    first, second = (x.grad for x in student)
    assert first is not None
    assert second is not None
    assert first[0].flatten().tolist() == pytest.approx([-2, 0, 1, 0])
    assert second.flatten().tolist() == pytest.approx([0, 1, 0, 0])


def test_equal_errors_weigh_once_a_map() -> None:
    """512 pooled for an error of 2 ** .5 in 256 channels; five times as much by map."""
    student = [torch.zeros(1, 256, side, side) for side in (16, 8, 4, 2, 1)]
    teacher = [torch.full_like(x, 2**0.5) for x in student]
    masks = [torch.ones(1, *x.shape[-2:], dtype=torch.bool) for x in student]
    assert position_aware_l2(student, teacher, masks).item() == pytest.approx(512)
    by_map = position_aware_l2(student, teacher, masks, by_map=True)
    assert by_map.item() == pytest.approx(2560)
    # A level without key positions has no loss, and the others keep theirs.
    masks[-1] = masks[-1] & False
    by_map = position_aware_l2(student, teacher, masks, by_map=True)
    assert by_map.item() == pytest.approx(2048)


@pytest.mark.parametrize("by_map", [True, False])
def test_without_key_positions_there_is_no_loss_but_a_gradient(by_map: bool) -> None:
    student = [x.requires_grad_() for x in maps(STUDENT)]
    nowhere = [torch.zeros_like(mask) for mask in maps(MASKS)]
    loss = position_aware_l2(student, maps(TEACHER), nowhere, by_map)
    assert loss.item() == 0
    loss.backward()  # type: ignore[no-untyped-call]
    for x in student:
        assert x.grad is not None
        assert not x.grad.any()


def test_differences_are_taken_in_full_precision() -> None:
    """In bfloat16 the square of 1.0078125 would be 1.015625, and a sum of 300 ones 256."""
    student = [torch.zeros(1, 300, 1, 1, dtype=torch.bfloat16)]
    teacher = [torch.full((1, 300, 1, 1), 1.0078125, dtype=torch.bfloat16)]
    mask = [torch.ones(1, 1, 1, dtype=torch.bool)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = position_aware_l2(student, teacher, mask)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(300 * 1.0078125**2, rel=1e-6)


def test_maps_of_other_sizes_are_refused() -> None:
    small = maps(TEACHER)
    small[1] = small[1].repeat(1, 1, 2, 1)
    with pytest.raises(
        ValueError, match=r"level 1 is \[2, 2, 1, 1\] .* \[2, 2, 2, 1\] in the teach"
    ):
        position_aware_l2(maps(STUDENT), small, maps(MASKS))
