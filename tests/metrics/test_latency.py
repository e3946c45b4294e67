"""What is timed for the latency, by a clock that a network moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sobench.metrics import cost

BF16 = torch.autocast("cpu", torch.bfloat16)


class Timed(nn.Module):
    """Takes the seconds of its list, one for each image, and notes what it is given."""

    def __init__(self, seconds: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seconds = seconds
        self.now = 0.0
        self.seen: list[int] = []
        self.modes: set[tuple[bool, bool, bool]] = set()

    def perf_counter(self) -> float:
        return self.now

    def forward(self, images: Tensor) -> None:
        assert images.shape == (1, 3, 8, 8)
        self.now += self.seconds[len(self.seen)]
        self.seen.append(int(images[0, 0, 0, 0]))
        is_bf16 = torch.is_autocast_enabled("cpu")
        self.modes.add((self.training, torch.is_inference_mode_enabled(), is_bf16))


def test_the_median_of_single_images_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Timed([9.0, 9.0, 0.001, 0.009, 0.002, 0.005, 0.003]).train()
    monkeypatch.setattr(cost, "time", network)
    images = torch.arange(3, dtype=torch.uint8)[:, None, None, None].expand(3, 3, 8, 8)
    milliseconds = cost.measure_latency(network, images, BF16, warmup=2, rounds=5)  # type: ignore[arg-type]
    assert milliseconds == pytest.approx(3)
    assert network.seen == [0, 1, 2, 0, 1, 2, 0]
    assert network.modes == {(False, True, True)}
