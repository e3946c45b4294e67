"""Samplers: how many, of which kind, how often each, and the same on every call."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from sobench.models.parts.matching import IGNORED, NEGATIVE
from sobench.models.parts.sampling import Sampler, iou_balanced_sample, random_sample


def at_random(matches: Tensor, iou: Tensor, num_samples: int, positive_fraction: float) -> Tensor:
    """``random_sample`` as a ``Sampler``."""
    assert iou.shape == matches.shape
    return random_sample(matches, num_samples, positive_fraction)


SAMPLERS: list[Sampler] = [
    at_random,
    iou_balanced_sample,
    partial(iou_balanced_sample, code_compat=True),
]


def row(objects: list[int], overlaps: list[float], ignored: int = 0) -> tuple[Tensor, Tensor]:
    """One image: ``objects[i]`` positives of object i with IoU 1, then negatives."""
    positives = [index for index, count in enumerate(objects) for _ in range(count)]
    assigned = [*positives, *[NEGATIVE] * len(overlaps), *[IGNORED] * ignored]
    overlap = [*[1.0] * len(positives), *overlaps, *[0.45] * ignored]
    return torch.tensor([assigned]), torch.tensor([overlap])


def batch(*rows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    assigned, overlap = zip(*rows, strict=True)
    return torch.cat(assigned), torch.cat(overlap)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_positives_are_a_share_and_negatives_fill_up(sampler: Sampler) -> None:
    torch.manual_seed(0)
    assigned, overlap = batch(
        row([6, 4], [0.0] * 60 + [0.2] * 40, ignored=5),
        row([1], [0.0] * 50 + [0.4] * 64),
        row([], [0.0] * 115),
        row([115], []),
        row([2], [0.1] * 7, ignored=106),
    )
    chosen = sampler(assigned, overlap, 22, 0.25)
    assert chosen.shape == assigned.shape
    assert (chosen & (assigned >= 0)).sum(dim=1).tolist() == [5, 1, 0, 5, 2]
    assert (chosen & (assigned == NEGATIVE)).sum(dim=1).tolist() == [17, 21, 22, 0, 7]
    assert not chosen[assigned == IGNORED].any()


def test_random_samples_are_uniform() -> None:
    torch.manual_seed(0)
    matches, _ = row([5, 1], [0.0, 0.1, 0.2, 0.3, 0.4], ignored=1)
    chosen = random_sample(matches.repeat(6000, 1), 5, 0.5)
    rate = chosen.float().mean(dim=0).tolist()
    assert rate == pytest.approx([2 / 6] * 6 + [3 / 5] * 5 + [0], abs=0.03)
    both = (chosen[:, 0] & chosen[:, 1]).float().mean().item()
    assert both == pytest.approx(2 / 6 * 1 / 5, abs=0.02)  # two of six, without replacement


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
        found = [part.sum(dim=1) for part in parts]
        return [[int(n.min()), int(n.max())] for n in found]

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


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_first_call_is_like_all_others(sampler: Sampler) -> None:
    assigned, overlap = row([9, 2], [0.0] * 30 + [0.1] * 30 + [0.3] * 9 + [0.45] * 9)
    assigned, overlap = assigned.repeat(400, 1), overlap.repeat(400, 1)
    torch.manual_seed(0)
    first = sampler(assigned, overlap, 24, 0.25)
    second = sampler(assigned, overlap, 24, 0.25)
    assert not torch.equal(first, second)
    assert (first.float().mean(dim=0) - second.float().mean(dim=0)).abs().max() < 0.15
    kinds = [11, 30, 30, 9, 9]
    one, two = (
        torch.stack([part.sum(dim=1).float().mean() for part in torch.split(chosen, kinds, dim=1)])
        for chosen in (first, second)
    )
    assert one.tolist() == pytest.approx(two.tolist(), abs=0.4)
    torch.manual_seed(0)
    assert torch.equal(sampler(assigned, overlap, 24, 0.25), first)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_images_do_not_mix(sampler: Sampler) -> None:
    """Indices of objects are of their own image; equal ones of others count apart."""
    torch.manual_seed(0)
    assigned, overlap = batch(row([2], [0.1] * 18), row([1, 1], [0.2] * 18))
    chosen = sampler(assigned, overlap, 8, 0.5)
    assert (chosen & (assigned >= 0)).sum(dim=1).tolist() == [2, 2]
    assert chosen.sum(dim=1).tolist() == [8, 8]
