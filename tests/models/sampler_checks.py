"""What every sampler of regions must do, and batches of regions to show it on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sobench.models.parts.matching import IGNORED, NEGATIVE
from sobench.models.parts.sampling import Sampler


def row(objects: list[int], overlaps: list[float], ignored: int = 0) -> tuple[Tensor, Tensor]:
    """One image: ``objects[i]`` positives of object i with IoU 1, then negatives."""
    positives = [index for index, count in enumerate(objects) for _ in range(count)]
    assigned = [*positives, *[NEGATIVE] * len(overlaps), *[IGNORED] * ignored]
    overlap = [*[1.0] * len(positives), *overlaps, *[0.45] * ignored]
    return torch.tensor([assigned]), torch.tensor([overlap])


def batch(*rows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    assigned, overlap = zip(*rows, strict=True)
    return torch.cat(assigned), torch.cat(overlap)


def check_shares(sampler: Sampler) -> None:
    """Positives are a share of the samples, and negatives fill up."""
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


def check_first_call(sampler: Sampler) -> None:
    """Every call draws from one distribution, and a seed gives one result."""
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


def check_images(sampler: Sampler) -> None:
    """Indices of objects are of their own image; equal ones of others count apart."""
    torch.manual_seed(0)
    assigned, overlap = batch(row([2], [0.1] * 18), row([1, 1], [0.2] * 18))
    chosen = sampler(assigned, overlap, 8, 0.5)
    assert (chosen & (assigned >= 0)).sum(dim=1).tolist() == [2, 2]
    assert chosen.sum(dim=1).tolist() == [8, 8]


CHECKS = (check_shares, check_first_call, check_images)
