"""Steps of gradient descent on three weights, against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sobench.data.targets import Batch, Targets
from sobench.suite.schedule import Schedule
from sobench.training.loop import train_step
from sobench.training.optimizer import make_optimizer
from tests.models.small_config import no_padding

START = (1.0, 2.0, 2.0)
GRADIENT = (3.0, 0.0, 4.0)
"""Of the sum of the two losses below; its norm is 5."""


class Line(nn.Module):
    """Two losses that are linear in the weights: ``3 a`` and ``4 c``."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.weights = nn.Parameter(torch.tensor(START))
        self.log_vars: dict[str, Tensor] = {}

    def forward(self, *_: object) -> dict[str, Tensor]:
        return {"class": 3 * self.weights[0], "box": 4 * self.weights[2]}


def _trained(
    rates: list[float], clip_norm: float | None = None, **schedule: object
) -> tuple[list[float], list[dict[str, float]]]:
    """The weights after a step at each of the rates, and the losses of each."""
    settings = Schedule.model_validate({"epochs": 1, "batch_size": 1, "lr": 99} | schedule)
    network = Line()
    optimizer = make_optimizer(network, settings)
    empty = torch.zeros(1, 1, 4)
    targets = Targets(empty, torch.zeros(1, 1).long(), empty, no_padding(1))
    batch = Batch(torch.zeros(1, 3, 2, 2), targets)
    losses = [
        train_step(network, optimizer, batch, lr, clip_norm, "fp32").read()[0]  # type: ignore[arg-type]
        for lr in rates
    ]
    return network.weights.tolist(), losses


def test_losses_add_up_and_each_step_has_its_own_rate_and_gradient() -> None:
    weights, losses = _trained([0.1, 0.5], momentum=0, weight_decay=0)
    assert weights == pytest.approx([1 - 0.6 * 3, 2, 2 - 0.6 * 4])
    assert losses[0] == pytest.approx({"class": 3, "box": 8, "total": 11})
    assert losses[1] == pytest.approx({"class": 2.1, "box": 6.4, "total": 8.5})


@pytest.mark.parametrize(("clip_norm", "factor"), [(2.5, 0.5), (5.5, 1.0), (None, 1.0)])
def test_a_step_goes_along_the_clipped_gradient(clip_norm: float | None, factor: float) -> None:
    weights, _ = _trained([0.1], clip_norm, momentum=0, weight_decay=0)
    moved = [start - 0.1 * factor * slope for start, slope in zip(START, GRADIENT, strict=True)]
    assert weights == pytest.approx(moved, rel=1e-5)


def test_sgd_remembers_and_decays_every_weight() -> None:
    weights, _ = _trained([0.1, 0.1], momentum=0.5, weight_decay=0.2)
    expected = []
    for start, slope in zip(START, GRADIENT, strict=True):
        speed = slope + 0.2 * start
        once = start - 0.1 * speed
        speed = 0.5 * speed + slope + 0.2 * once
        expected.append(once - 0.1 * speed)
    assert weights == pytest.approx(expected)


def test_adamw_decays_every_weight_beside_its_step_of_the_rate() -> None:
    weights, _ = _trained([0.1], optimizer="adamw", weight_decay=0.2)
    # The first step of Adam is as long as the rate, whatever the gradient.
    decayed = [0.98 * start for start in START]
    assert weights == pytest.approx([decayed[0] - 0.1, decayed[1], decayed[2] - 0.1])
