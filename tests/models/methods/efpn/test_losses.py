"""The distillation loss of EFPN, and the cells that it weighs, by hand."""

from __future__ import annotations

import pytest
import torch

from sobench.models.methods.efpn.losses import (
    covered_cells,
    foreground_balanced_l1,
    ignored_cells,
)
from tests.models.small_config import targets


def test_maps_are_compared_everywhere_and_once_more_over_objects() -> None:
    """EFPN, Eq. 6 to 8: two channels of 2 x 3 cells, one of them an object's."""
    student = torch.zeros(1, 2, 2, 3, requires_grad=True)
    target = torch.zeros(1, 2, 2, 3)
    target[0, :, 0, 1] = torch.tensor([3.0, -1.0])
    target[0, 0, 1, 2] = 2.0
    covered = torch.zeros(1, 2, 3, dtype=torch.bool)
    covered[0, 0, 1] = True
    loss = foreground_balanced_l1(student, target, covered, 1.5)
    assert loss.item() == pytest.approx(6 / 12 + 1.5 * 4 / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert student.grad[0, 0, 0, 1].item() == pytest.approx(-(1 / 12 + 1.5 / 2))
    assert student.grad[0, 0, 1, 2].item() == pytest.approx(-1 / 12)
    both = covered.clone()
    both[0, 1, 0] = True  # a cell without any difference halves the mean
    assert foreground_balanced_l1(student, target, both, 1.5).item() == pytest.approx(0.5 + 1.5)
    for cells, weight in ((covered & False, 1.5), (covered, 0.0)):
        assert foreground_balanced_l1(student, target, cells, weight).item() == pytest.approx(0.5)


def test_covered_cells_count_alike_in_whatever_image_of_the_batch() -> None:
    target = torch.zeros(2, 1, 1, 4)
    target[0, 0, 0, 0], target[1, 0, 0, :3] = 8.0, 4.0
    covered = torch.tensor([[[True, False, False, False]], [[True, True, True, False]]])
    loss = foreground_balanced_l1(torch.zeros_like(target), target, covered, 1.0)
    assert loss.item() == pytest.approx(20 / 8 + 20 / 4)  # not the mean of 8 and 4


def test_maps_are_compared_in_full_precision() -> None:
    student = torch.full((1, 1, 64, 64), 1.0, dtype=torch.bfloat16)
    target = torch.full((1, 1, 64, 64), 1.0078125, dtype=torch.bfloat16)
    covered = torch.ones(1, 64, 64, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        loss = foreground_balanced_l1(student, target, covered, 1.0)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(2 / 128)


def test_cells_that_objects_touch() -> None:
    truth = targets(
        # From (1.25, .5) to (2, 2.25) cells; the same once more, and one across; a line.
        [[(5, 2, 8, 9), (5, 2, 8, 9), (6, 8, 14, 10), (12, 0, 12, 4)], [(0, 0, 16, 12)], []],
        [[0, 1, 2, 0], [0], []],
    )
    covered = covered_cells(truth, 4, (3, 4))
    assert covered[0].int().tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 1]]
    assert covered[1].all()
    assert not covered[2].any()
    # Padding covers nothing, whatever its box.
    truth.labels[1] = -1
    assert not covered_cells(truth, 4, (3, 4))[1].any()
    assert covered_cells(truth, 2.0, (6, 8))[0].sum().item() == 2 * 4 + 4 * 1 - 1


def test_cells_in_ignore_regions_count_only_where_an_object_touches_them() -> None:
    """The global part of EFPN, Eq. 6, over the cells that are left."""
    # In cells of stride 4, rows first: (0, 0) and (0, 1) whole, of (1, 1) more than half, of (1, 0)
    # just half.
    regions: list[list[tuple[float, ...]]] = [[(0, 0, 8, 4), (2, 4, 7, 8)], [(0, 0, 0, 0)] * 2]
    truth = targets([[(5, 1, 7, 3)], []], [[0], []], regions)
    covered = covered_cells(truth, 4, (2, 3))
    left_out = ignored_cells(truth, 4, (2, 3), covered)
    assert left_out is not None
    assert left_out.int().tolist() == [[[1, 0, 0], [0, 1, 0]], [[0, 0, 0], [0, 0, 0]]]
    student = torch.zeros(2, 1, 2, 3, requires_grad=True)
    target = torch.arange(12.0).view(2, 1, 2, 3)
    loss = foreground_balanced_l1(student, target, covered, 2.0, left_out)
    assert loss.item() == pytest.approx((66 - 0 - 4) / 10 + 2.0 * 1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert not student.grad[:, 0][left_out].any()


def test_images_without_ignore_regions_are_compared_everywhere() -> None:
    truth = targets([[(5, 1, 7, 3)]], [[0]])
    covered = covered_cells(truth, 4, (2, 3))
    assert ignored_cells(truth, 4, (2, 3), covered) is None


def test_with_nothing_left_the_distance_is_zero() -> None:
    everything = torch.ones(1, 2, 3, dtype=torch.bool)
    maps = torch.zeros(1, 1, 2, 3), torch.ones(1, 1, 2, 3)
    assert foreground_balanced_l1(*maps, ~everything, 1.0, everything).item() == 0
