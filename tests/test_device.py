"""Whether a device computes what a suite asks of it."""

from __future__ import annotations

import pytest
import torch

from sobench import device
from sobench.errors import RequestError


def test_bf16_on_a_cpu_needs_maps_of_more_than_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda: True)
    warnings: list[str] = []
    with pytest.raises(RequestError, match=r"up to 64 pixels wide, and this one has 64; --set pre"):
        device.check_bf16(64, torch.device("cpu"), warnings.append)
    device.check_bf16(65, torch.device("cpu"), warnings.append)
    device.check_bf16(64, torch.device("cuda"), warnings.append)
    assert not warnings


def test_emulated_bf16_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda: False)
    warnings: list[str] = []
    device.check_bf16(512, torch.device("cuda"), warnings.append)
    assert not warnings
    device.check_bf16(512, torch.device("cpu"), warnings.append)
    assert "emulated" in warnings[0]
