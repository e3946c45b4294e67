"""IoU-balanced samples: how many, of which kind, how often each, and the same on every call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from sobench.models.methods.libra.sampler import iou_balanced_sample
from sobench.models.parts.sampling import Sampler, random_sample
from tests.models.sampler_checks import CHECKS, batch, row


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("code_compat", [False, True])
def test_balanced_samples_are_those_of_a_sampler(
    check: Callable[[Sampler], None], code_compat: bool
) -> None:
    check(partial(iou_balanced_sample, code_compat=code_compat))


def test_negatives_have_a_quota_in_every_range_of_overlap() -> None:
    torch.manual_seed(0)
    # Thirds of .5: 30 below 1/6, 5 below 1/3 and 2 below .5.
    overlaps = [0.0] * 20 + [0.16] * 10 + [0.17, 0.2, 0.25, 0.3, 0.33] + [0.34, 0.49999997]
    assigned, overlap = row([], overlaps)
    chosen = iou_balanced_sample(assigned.repeat(500, 1), overlap.expand(500, -1), 16, 0.25)
    counts = [chosen[:, a:b].sum(dim=1) for a, b in ((0, 30), (30, 35), (35, 37))]
    # Five of each are due; the last has but two and the middle no more, so the first fills up.
    assert [set(count.tolist()) for count in counts] == [{9}, {5}, {2}]
    rate = chosen[:, :30].float().mean(dim=0)
    assert rate.tolist() == pytest.approx([0.3] * 30, abs=0.1)


def test_more_ranges_and_a_quota_that_is_rounded_down() -> None:
    torch.manual_seed(0)
    overlaps = [0.01] * 50 + [0.15] * 50 + [0.3] * 50 + [0.4] * 50
    assigned, overlap = (x.repeat(300, 1) for x in row([], overlaps))
    chosen = iou_balanced_sample(assigned, overlap, 11, 0.25, bins=4)
    counts = chosen.view(300, 4, 50).sum(dim=2)
    assert counts.sum(dim=1).tolist() == [11] * 300
    assert counts.amin() == 2  # int(11 / 4), and three more at random
    assert counts.float().mean(dim=0).tolist() == pytest.approx([2.75] * 4, abs=0.25)


def test_positives_are_balanced_over_objects_and_filled_up() -> None:
    torch.manual_seed(0)
    assigned, overlap = (x.repeat(50, 1) for x in row([50, 3, 1], [0.0] * 100))
    chosen = iou_balanced_sample(assigned, overlap, 40, 0.25)
    # round(10 / 3) + 1 = 4 of each are due: 4, 3 and 1; the two that lack come from the first.
    counts = [set(part.sum(dim=1).tolist()) for part in torch.split(chosen, [50, 3, 1, 100], dim=1)]
    assert counts == [{6}, {3}, {1}, {30}]
    # So the only region of the last object is always there; at random it rarely is.
    assert random_sample(assigned, 40, 0.25)[:, 53].float().mean() < 0.5


def test_positives_beyond_the_share_are_cut_at_random() -> None:
    torch.manual_seed(0)
    assigned, overlap = (x.repeat(400, 1) for x in row([10, 10, 10, 10], [0.0] * 40))
    chosen = iou_balanced_sample(assigned, overlap, 40, 0.25)
    counts = chosen[:, :40].view(400, 4, 10).sum(dim=2)
    # round(10 / 4) + 1 = 3 of each are twelve, two too many.
    assert set(counts.sum(dim=1).tolist()) == {10}
    assert set(counts.flatten().tolist()) == {1, 2, 3}
    assert counts.float().mean(dim=0).tolist() == pytest.approx([2.5] * 4, abs=0.12)


def test_the_authors_code_divides_to_the_largest_overlap_and_shuns_zeros() -> None:
    torch.manual_seed(0)
    rich = row([8], [0.0] * 20 + [0.1] * 20 + [0.4] * 20)
    poor = row([8], [0.0] * 55 + [0.1] * 2 + [0.4] * 3)
    assigned, overlap = (x.repeat_interleave(300, 0) for x in batch(rich, poor))
    compat = iou_balanced_sample(assigned, overlap, 16, 0.25, code_compat=True)
    literal = iou_balanced_sample(assigned, overlap, 16, 0.25)

    def counts(chosen: Tensor, start: int, *lengths: int) -> list[list[int]]:
        parts = torch.split(chosen[start : start + 300, 8:], [*lengths], dim=1)
        sums = [part.sum(dim=1) for part in parts]
        return [[int(n.min()), int(n.max())] for n in sums]

    # Ranges of a third up to IoU 1: four of twelve are due below 1/3 and four below 2/3, none is
    # above; the four that lack come from either, but not from the zeros.
    zeros, low, high = counts(compat, 0, 20, 20, 20)
    assert zeros == [0, 0]
    assert low[0] == high[0] == 4
    # As the paper has it, the first range holds zeros as well, and 4 is due in the last.
    zeros, low, high = counts(literal, 0, 20, 20, 20)
    assert zeros[1] > 0
    assert high[0] == 4
    # Five overlap at all: they are all taken, and seven zeros fill up.
    assert counts(compat, 300, 55, 2, 3) == [[7, 7], [2, 2], [3, 3]]
