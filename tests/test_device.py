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


def test_kernels_of_a_gpu_are_pinned_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Switches:
        allow_tf32 = True
        benchmark = False

    # Stand-ins, since torch's own switches cannot be put back by ``monkeypatch``.
    monkeypatch.setattr(torch.backends.cuda, "matmul", Switches())
    monkeypatch.setattr(torch.backends, "cudnn", Switches())
    assert device.pin_kernels(torch.device("cpu"), one_size=True) == {}
    assert not torch.backends.cudnn.benchmark
    told = device.pin_kernels(torch.device("cuda"), one_size=True)
    assert told == {"tf32": False, "cudnn_benchmark": True}
    assert torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not device.pin_kernels(torch.device("cuda"), one_size=False)["cudnn_benchmark"]


def test_triton_needs_a_c_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    device.has_triton.cache_clear()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not device.has_triton()
    device.has_triton.cache_clear()


@pytest.mark.parametrize(
    ("name", "count", "chosen"),
    [("cuda:1", 2, "cuda:1"), ("cuda", 2, "cuda"), ("auto", 2, "cuda"), ("auto", 0, "cpu"),
     ("cpu", 2, "cpu")],
)  # fmt: skip
def test_a_device_is_chosen_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, count: int, chosen: str
) -> None:
    present: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_device", present.append)
    assert device.choose_device(name) == torch.device(chosen)
    assert present == ([torch.device(chosen)] if ":" in name else [])


@pytest.mark.parametrize(
    ("name", "count", "problem"),
    [("cuda:2", 2, "device: cuda:2 is asked for, but torch sees 2 CUDA device"),
     ("cuda:0", 0, "device: cuda:0 is asked for, but torch sees no CUDA device"),
     ("cuda", 0, "device: cuda is asked for, but torch sees no CUDA device")],
)  # fmt: skip
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, count: int, problem: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(RequestError, match=problem):
        device.choose_device(name)
