"""Random samples: how many, of which kind, how often each, and the same on every call."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sobench.models.parts.sampling import Sampler, random_sample
from tests.models.sampler_checks import CHECKS, row


def at_random(matches: Tensor, iou: Tensor, num_samples: int, positive_fraction: float) -> Tensor:
    """``random_sample`` as a ``Sampler``."""
    assert iou.shape == matches.shape
    return random_sample(matches, num_samples, positive_fraction)


@pytest.mark.parametrize("check", CHECKS)
def test_random_samples_are_those_of_a_sampler(check: Callable[[Sampler], None]) -> None:
    check(at_random)


def test_random_samples_are_uniform() -> None:
    torch.manual_seed(0)
    matches, _ = row([5, 1], [0.0, 0.1, 0.2, 0.3, 0.4], ignored=1)
    chosen = random_sample(matches.repeat(6000, 1), 5, 0.5)
    rate = chosen.float().mean(dim=0).tolist()
    assert rate == pytest.approx([2 / 6] * 6 + [3 / 5] * 5 + [0], abs=0.03)
    both = (chosen[:, 0] & chosen[:, 1]).float().mean().item()
    assert both == pytest.approx(2 / 6 * 1 / 5, abs=0.02)  # two of six, without replacement
