"""Checks of the machine, each with a remedy for what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text

from sobench.data.cache_folder import cache_folder
from sobench.device import has_bf16, has_triton
from sobench.environment import PACKAGES, code_version, cpu_name, package_version

_ENOUGH_ROOM = 10 * 2**30
"""Bytes for the image cache of a large dataset."""


@dataclass(frozen=True)
class Check:
    """One line: the name of a thing, whether it is in order, its value, and a remedy."""

    name: str
    ok: bool
    value: str
    remedy: str = ""


def checks() -> Iterator[Check]:
    """Everything that a run depends on."""
    yield Check("sobench", True, code_version())
    for name in PACKAGES:
        installed = package_version(name)
        yield Check(name, bool(installed), installed or "not installed", f"pip install {name}")
    yield Check("processor", True, f"{cpu_name()}, torch uses {torch.get_num_threads()} threads")
    yield Check(
        "bf16 on the CPU",
        has_bf16(),
        "in hardware" if has_bf16() else "emulated, about ten times slower than fp32",
        "write precision: fp32 in suites for this machine",
    )
    yield from _cuda()
    yield from _folders()


def print_checks(console: Console) -> None:
    """Print all checks, with the remedy below those that are not in order."""
    for check in checks():
        mark = Text("ok  ", style="green") if check.ok else Text("look", style="yellow")
        console.print(mark, Text(f"{check.name}: {check.value}"), soft_wrap=True)
        if not check.ok and check.remedy:
            console.print(Text(f"       {check.remedy}", style="dim"), soft_wrap=True)


def _cuda() -> Iterator[Check]:
    if not torch.cuda.is_available():
        yield Check("CUDA", False, "no device", "suites run on the CPU, or with --device cpu")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield Check(f"CUDA device {index}", True, f"{properties.name}, {memory:.0f} GiB")
    yield _triton()


def _triton() -> Check:
    """Whether kernels for a GPU can be compiled, and what it costs if not."""
    return Check(
        "kernels by Triton",
        has_triton(),
        "compiled when they are first used"
        if has_triton()
        else "cannot be compiled: networks stay as they are, and matching pays for padding and for "
        "all pairs of object and anchor, which may double a step with crowded images",
        "install a C compiler and Python's headers, such as gcc and python3-dev",
    )


def _folders() -> Iterator[Check]:
    cache = cache_folder()
    existing = _nearest_existing(cache)
    free = shutil.disk_usage(existing).free
    yield Check(
        "image cache",
        free >= _ENOUGH_ROOM and os.access(existing, os.W_OK),
        f"{cache}, {free / 2**30:.0f} GiB free",
        "set SOBENCH_CACHE to a folder with room",
    )
    root = os.environ.get("SOBENCH_DATA", "")
    yield Check(
        "SOBENCH_DATA",
        bool(root) and Path(root).is_dir(),
        root or "not set",
        "export SOBENCH_DATA=FOLDER that holds the datasets; suites/smoke.yaml needs none",
    )
    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    names = ", ".join(sorted(path.name for path in checkpoints.glob("*.pth")))
    yield Check(
        "ImageNet weights",
        bool(names),
        f"{checkpoints}: {names or 'none yet'}",
        "they are fetched on first use; without a network put the files there",
    )


def _nearest_existing(path: Path) -> Path:
    """The folder itself, or the nearest of its parents that is there."""
    while not path.exists():
        path = path.parent
    return path
