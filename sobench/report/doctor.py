"""What this machine can do, what is missing, and what to do about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from sobench.data.cache import cache_folder
from sobench.device import has_bf16
from sobench.environment import PACKAGES, code_version, cpu_name, package_version

_ROOM = 10 * 2**30


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, whether it is well, what was found, and the way out."""

    what: str
    well: bool
    found: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Everything that a run depends on."""
    yield Finding("sobench", True, code_version())
    for name in PACKAGES:
        found = package_version(name)
        yield Finding(name, bool(found), found or "not installed", f"pip install {name}")
    yield Finding("processor", True, f"{cpu_name()}, torch uses {torch.get_num_threads()} threads")
    yield Finding(
        "bf16 on the CPU",
        has_bf16(),
        "in hardware" if has_bf16() else "emulated, about ten times slower than fp32",
        "write precision: fp32 in suites for this machine",
    )
    yield from _cuda()
    cache = cache_folder()
    free = shutil.disk_usage(_existing(cache)).free
    yield Finding(
        "image cache",
        free >= _ROOM and os.access(_existing(cache), os.W_OK),
        f"{cache}, {free / 2**30:.0f} GiB free",
        "set SOBENCH_CACHE to a folder with room",
    )
    root = os.environ.get("SOBENCH_DATA", "")
    yield Finding(
        "SOBENCH_DATA",
        bool(root) and Path(root).is_dir(),
        root or "not set",
        "export SOBENCH_DATA=FOLDER that holds the datasets; suites/smoke.yaml needs none",
    )
    weights = Path(torch.hub.get_dir()) / "checkpoints"
    held = sorted(path.name for path in weights.glob("*.pth"))
    yield Finding(
        "ImageNet weights",
        bool(held),
        f"{weights}: {', '.join(held) or 'none yet'}",
        "they are fetched on first use; without a network put the files there",
    )


def print_findings(console: Console) -> None:
    """All findings, with the remedy behind those that are not well."""
    for finding in findings():
        mark = "[green]ok[/green]  " if finding.well else "[yellow]look[/yellow]"
        console.print(mark, f"{finding.what}: {finding.found}", highlight=False, soft_wrap=True)
        if not finding.well and finding.remedy:
            console.print(f"       {finding.remedy}", style="dim", highlight=False, soft_wrap=True)


def _cuda() -> Iterator[Finding]:
    if not torch.cuda.is_available():
        yield Finding("CUDA", False, "no device", "suites run on the CPU, or with --device cpu")
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield Finding(f"CUDA device {index}", True, f"{properties.name}, {memory:.0f} GiB")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
