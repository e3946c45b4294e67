"""Costs: parameters, multiply-adds compared with torch's own counter, latency, memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sobench.metrics import cost
from sobench.models.build import build_detector
from sobench.models.detector import Detector
from sobench.suite.methods import methods
from sobench.suite.sections import MethodEntry
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")
ROWS = [
    MethodEntry(name="fpn", switches={"fuse": True, "first_level": 3}),
    MethodEntry(name="ssd", switches={"anchors": "suite", "boxes": "coco"}),
]


def detector(row: MethodEntry, **changes: Any) -> Detector:
    return build_detector(tiny_suite(**changes), row, 5, seed=0)


def test_parameters() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    assert cost.count_parameters(module) == (12 + 4 + 8, 24)
    module[0].requires_grad_(False)
    assert cost.count_parameters(module) == (24, 8)


@pytest.mark.parametrize(
    ("name", "head"),
    [(name, head) for name, row in methods().items() for head in row.heads or ("",)],
)
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_multiply_adds_are_those_of_torchs_counter(
    name: str, head: str, size: tuple[int, int]
) -> None:
    small = {"post_nms_top_n": 50, "channels": 32}
    (row,) = tiny_suite(methods=[name]).methods
    changes = {"input": {"size": list(size)}, "head": head or "retinanet", "regions": small}
    model = detector(row, **changes).train()
    gflops = cost.count_gflops(model, size)
    assert model.training
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.head.flops_outputs(model.predict(torch.zeros(1, 3, *size)))
    assert gflops == pytest.approx(counter.get_total_flops() / 2e9, rel=1e-9)
    assert gflops > 0.01


def test_multiply_adds_by_hand() -> None:
    class Norms(torch.nn.Module):
        """A convolution, and operations that are not counted."""

        head = SimpleNamespace(flops_outputs=lambda output: output["out"])

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
            self.norms = torch.nn.Sequential(torch.nn.BatchNorm2d(8), torch.nn.GroupNorm(2, 8))

        def predict(self, images: torch.Tensor) -> dict[str, list[torch.Tensor]]:
            x = self.norms(self.conv(images)).relu()
            y = torch.nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")
            return {"out": [torch.nn.functional.interpolate(y, size=(7, 7), mode="nearest")]}

    gflops = cost.count_gflops(Norms(), (10, 20))  # type: ignore[arg-type]
    assert gflops == pytest.approx(3 * 3 * 3 * 8 * 10 * 20 / 1e9)


def test_counting_prints_nothing() -> None:
    """Neither the counter's import nor its tracing may write to a user's terminal."""
    code = (
        "from tests.metrics.test_cost import ROWS, cost, detector\n"
        "print(cost.count_gflops(detector(ROWS[1]), (64, 64)) > 0)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert result.stdout == "True\n"
    assert result.stderr == ""


def test_latency_is_measured_from_image_to_detections() -> None:
    model = detector(ROWS[0])
    images = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    shapes: list[tuple[int, ...]] = []
    model.register_forward_hook(lambda _, inputs, __: shapes.append(tuple(inputs[0].shape)))
    off = torch.autocast("cpu", torch.bfloat16, enabled=False)
    milliseconds = cost.measure_latency(model, images, off, warmup=1, rounds=4)
    assert 0.1 < milliseconds < 60_000
    assert shapes == [(1, 3, 64, 64)] * 5


def test_peak_memory_grows_with_allocated_tensors() -> None:
    cost.reset_peak_memory(CPU)
    before = cost.peak_memory_mb(CPU)
    if before is None:
        pytest.skip("this system does not tell a process its peak memory")
    tensor = torch.ones(64, 2**20)  # 256 MiB
    after = cost.peak_memory_mb(CPU)
    assert after is not None
    assert after - before > 200
    del tensor


def test_without_proc_memory_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(Path, "write_text", missing)
    cost.reset_peak_memory(CPU)
    assert cost.peak_memory_mb(CPU) is None


def test_synchronizing_a_cpu_does_nothing() -> None:
    cost.synchronize(CPU)
