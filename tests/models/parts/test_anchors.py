"""Anchors against hand values."""

from __future__ import annotations

from math import sqrt

import pytest
import torch

from sobench.models.parts.anchors import AnchorSpec, pyramid_anchors
from tests.models.parts.random_boxes import octave_anchors

CPU = torch.device("cpu")


def test_anchors_may_be_centred_in_the_middle_of_their_cells() -> None:
    anchor_spec = AnchorSpec(((4.0, 8.0), (16.0, 32.0)), (1.0,), offset=0.5)
    assert anchor_spec.num_anchors == 2
    anchors = pyramid_anchors(((1, 2), (1, 1)), (8, 16), anchor_spec, CPU)
    centres = ((anchors[:, :2] + anchors[:, 2:]) / 2).tolist()
    assert centres == [[4, 4], [4, 4], [12, 4], [12, 4], [8, 8], [8, 8]]
    assert (anchors[:, 2] - anchors[:, 0]).tolist() == [4, 8, 4, 8, 16, 32]


def test_anchors_of_one_cell_are_ratio_major_and_octave_minor() -> None:
    anchors = octave_anchors(((1, 1),), (8,), 32.0, 2, (0.25, 1.0, 4.0))
    side, next_side = 32.0, 32.0 * sqrt(2)
    expected = [
        (2 * side, side / 2),
        (2 * next_side, next_side / 2),
        (side, side),
        (next_side, next_side),
        (side / 2, 2 * side),
        (next_side / 2, 2 * next_side),
    ]
    sizes = (anchors[:, 2:] - anchors[:, :2]).tolist()
    for size, expected_size in zip(sizes, expected, strict=True):
        assert size == pytest.approx(expected_size, rel=1e-6)
    assert torch.allclose(anchors[:, :2], -anchors[:, 2:])  # centred on (0, 0), not half a cell in


def test_anchors_run_row_by_row_and_level_by_level() -> None:
    anchors = octave_anchors(((2, 3), (1, 2)), (8, 16), 32.0, 1, (1.0,))
    centres = ((anchors[:, :2] + anchors[:, 2:]) / 2).tolist()
    fine = [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8]]
    assert centres == [*fine, [0, 0], [16, 0]]
    assert (anchors[:, 2] - anchors[:, 0]).tolist() == [32.0] * 6 + [64.0] * 2
    assert anchors.dtype == torch.float32


def test_all_ratios_of_an_octave_cover_the_same_area() -> None:
    anchors = octave_anchors(((1, 1),), (16,), 48.0, 3, (0.5, 1.0, 2.0)).double()
    area = (anchors[:, 2:] - anchors[:, :2]).prod(dim=1).reshape(3, 3)
    expected = (48 * 2 ** (torch.arange(3).double() / 3)) ** 2
    assert torch.allclose(area, expected.expand(3, 3), rtol=1e-5)
    ratio = ((anchors[:, 3] - anchors[:, 1]) / (anchors[:, 2] - anchors[:, 0])).reshape(3, 3)
    assert torch.allclose(ratio, torch.tensor([[0.5], [1], [2]]).double().expand(3, 3), rtol=1e-5)


def test_anchors_cached_by_detection_can_be_trained_with() -> None:
    pyramid_anchors.cache_clear()
    arguments = (((2, 2),), (8,), AnchorSpec(((32.0,),), (1.0,)), CPU)
    with torch.inference_mode():
        first = pyramid_anchors(*arguments)
    again = pyramid_anchors(*arguments)
    assert again is first
    weight = torch.ones(4, 4, requires_grad=True)
    (weight * again).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(weight.grad, again)  # type: ignore[arg-type]
