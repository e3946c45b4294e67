"""The balanced L1 of Libra R-CNN against hand values."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from sobench.models.methods.libra.loss import balanced_l1


@pytest.mark.parametrize(
    ("beta", "difference", "expected"),
    [
        (1.0, 0.1, 0.031353),
        (1.0, 0.5, 0.400568),
        (1.0, 1.0, 1.078594),
        (1.0, 2.0, 2.578594),
        (0.11, 0.05, 0.091197),
        (0.11, 0.11, 0.188594),
        (0.11, 0.5, 0.773594),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_balanced_l1_by_value(beta: float, difference: float, expected: float, sign: int) -> None:
    target = torch.tensor([[3.0, 0.0, -2.0, 1.0], [9.0, 9.0, 9.0, 9.0]], dtype=torch.float64)
    prediction = target.clone()
    prediction[0, 2] += sign * difference
    prediction[1] += 5  # not a positive: not counted
    loss = balanced_l1(prediction, target, torch.tensor([True, False]), beta=beta)
    assert loss.item() == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("beta", [0.11, 0.5, 1.0])
def test_balanced_l1_is_continuous_where_inliers_end(beta: float) -> None:
    step = 1e-9
    ends = torch.tensor([[beta - step, 0, 0, 0], [beta + step, 0, 0, 0]], dtype=torch.float64)
    zero, yes = torch.zeros(1, 4, dtype=torch.float64), torch.tensor([True])
    below, above = (balanced_l1(end[None], zero, yes, beta=beta).item() for end in ends)
    assert above - below == pytest.approx(0, abs=1e-8)


def test_balanced_l1_has_its_gradient_from_the_papers_equation() -> None:
    """Libra R-CNN, Eq. 6: alpha ln(b d + 1) for inliers, gamma for outliers."""
    difference = torch.tensor([[0.0, 0.2, -0.7, 3.0]], dtype=torch.float64, requires_grad=True)
    yes = torch.tensor([True])
    balanced_l1(difference, torch.zeros(1, 4), yes).backward()  # type: ignore[no-untyped-call]
    b = exp(3) - 1
    expected = [0.0, 0.5 * log(0.2 * b + 1), -0.5 * log(0.7 * b + 1), 1.5]
    assert difference.grad is not None
    assert difference.grad[0].tolist() == pytest.approx(expected)
