"""Costs of a detector: parameters, multiply-adds, latency, memory."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from sobench.models.detector import Detector

_UNCOUNTED = (
    "batch_norm", "group_norm", "layer_norm", "instance_norm",
    "upsample_nearest2d", "upsample_bilinear2d", "adaptive_avg_pool2d", "grid_sampler",
)  # fmt: skip
"""Operations that fvcore counts by default and that are not counted here."""


class _Predict(nn.Module):
    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> list[Tensor]:
        """The outputs as a flat list, as tracing needs them."""
        return self.detector.head.flops_outputs(self.detector.predict(images))


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """The numbers of all weights and of those that train."""
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trains in sizes if trains)


def count_gflops(detector: Detector, size: tuple[int, int]) -> float:
    """Multiply-adds of convolutions and matrix products for one image, in 1e9, by fvcore.

    Norms, activations and resampling are not counted, as is usual for these figures in papers.

    Args:
        size: height and width of the input.
    """
    training = detector.training
    device = next(detector.parameters()).device
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        # fvcore's import warns of deprecated parts of torch; its tracer, of constant shapes.
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis

        counter = FlopCountAnalysis(
            _Predict(detector.eval()), torch.zeros(1, 3, *size, device=device)
        )
        # A handle of None would leave fvcore's own in force.
        counter.set_op_handle(**{f"aten::{name}": lambda *_: 0 for name in _UNCOUNTED})
        counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        total = float(counter.total())
    detector.train(training)
    return total / 1e9


def count_gflops_without_storage(detector: Detector, size: tuple[int, int]) -> float:
    """The same figure for a detector on torch's ``meta`` device, by torch's own counter.

    Both count convolutions and matrix products; fvcore cannot trace tensors without storage.

    Args:
        size: height and width of the input.
    """
    from torch.utils.flop_counter import FlopCounterMode  # which imports much of torch

    detector.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _Predict(detector)(torch.empty(1, 3, *size, device="meta"))
    return float(counter.get_total_flops()) / 2e9


@torch.inference_mode()
def measure_latency(
    detector: Detector, images: Tensor, precision: torch.autocast, warmup: int = 3, rounds: int = 15
) -> float:
    """Median milliseconds from one image on the device to its detections, NMS included.

    Args:
        images: ``[N, 3, H, W]`` uint8; taken one by one, in turn.
    """
    detector.eval()
    device = next(detector.parameters()).device
    seconds = []
    for index in range(warmup + rounds):
        image = images[index % len(images)].unsqueeze(0).to(device)
        image = image.contiguous(memory_format=torch.channels_last)
        synchronize(device)
        start = time.perf_counter()
        with precision:
            detector(image)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[warmup:])


def synchronize(device: torch.device) -> None:
    """Wait until all work given to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak so far, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mb(device: torch.device) -> float | None:
    """Peak MiB since the reset: allocated on a GPU, resident in the process on a Linux CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peaks[0]) / 1024 if peaks else None
