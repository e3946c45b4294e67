"""The device that a run computes on: which one, its name, its precision, its loader processes."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

from sobench.environment import cpu_name
from sobench.errors import RequestError


def choose_device(name: str) -> torch.device:
    """The device that a suite or ``--device`` names: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.

    A device with a number also becomes the present one of torch's.

    Raises:
        RequestError: CUDA is asked for and torch sees no such device; names the way out.
    """
    has_cuda = torch.cuda.is_available()
    if name.startswith("cuda") and not has_cuda:
        raise RequestError(
            f"device: {name} is asked for, but torch sees no CUDA device here; "
            "write --device cpu, or see `sobench doctor`"
        )
    _, _, number = name.partition(":")
    if not number:
        return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")
    count = torch.cuda.device_count()
    if int(number) >= count:
        raise RequestError(
            f"device: {name} is asked for, but torch sees {count} CUDA device(s) here, the last of "
            f"which is cuda:{count - 1}"
        )
    device = torch.device("cuda", int(number))
    torch.cuda.set_device(device)
    return device


def device_name(device: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def pin_kernels(device: torch.device, one_size: bool) -> dict[str, bool]:
    """Pin what decides which kernels a GPU runs, and tell of it; a CPU has no such choice.

    ``fp32`` means float32, so that products are not rounded to TF32, of which some versions of
    torch and some libraries allow more than others.

    Args:
        one_size: whether all batches have one height and width, so that trying convolutions pays.
    """
    if device.type != "cuda":
        return {}
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = one_size
    return {"tf32": False, "cudnn_benchmark": one_size}


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """``bf16``: bfloat16 where operations allow it; ``fp32``: plain float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware."""
    mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported())


NARROWEST_BF16 = 64
"""Pixels of input width up to which bfloat16 is not to be trusted on a CPU."""


def check_bf16(width: int, device: torch.device, warn: Callable[[str], None]) -> None:
    """Warn if bfloat16 is asked of a processor that has to emulate it.

    Args:
        width: of the narrowest network input, in pixels.

    Raises:
        RequestError: the processor would compute wrong gradients.
    """
    if device.type != "cpu":
        return
    # Seen with torch 2.15: the weights' gradient of a strided convolution over a map that is one
    # pixel wide, as P6 is at such an input, holds memory that nobody has written.
    if width <= NARROWEST_BF16:
        raise RequestError(
            f"precision: bf16: on a CPU, gradients are wrong at inputs up to {NARROWEST_BF16} "
            f"pixels wide, and this one has {width}; --set precision=fp32 or a larger input.size"
        )
    if not has_bf16():
        warn(
            "precision: bf16 is emulated on this processor, ten times slower than fp32; "
            "--set precision=fp32 is quicker (and marks the result as partial)"
        )


@cache
def has_triton() -> bool:
    """Whether Triton can compile here: it is installed, with a C compiler and Python's headers."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return bool(compiler) and headers.exists() and find_spec("triton") is not None


def loader_workers(device: torch.device, processes: int = 1) -> int:
    """Loader processes: none beside a CPU that trains, since they would take its cores.

    Args:
        processes: that share a training, of which each has so many.
    """
    if device.type != "cuda":
        return 0
    return max(1, min(8, (os.cpu_count() or 1) // processes))
