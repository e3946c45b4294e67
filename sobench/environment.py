"""The provenance of a number: versions, machine, code. Imports nothing heavy by itself."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

import sobench


class Environment(BaseModel):
    """Versions and machine, stored in every record.

    Attributes:
        code: version; followed by the commit if the code runs from a checkout, and by ``+changes``
            if that checkout differs from its commit.
        packages: name -> installed version, of those in ``PACKAGES``.
        system: operating system and architecture.
        host: network name of the machine.
        device: name of the device that a run trained on.
        threads: number of CPU threads that torch used.
        processor: digest of the processor's model, stepping and instructions, since its name does
            not tell which of them a virtual machine has; empty where that is not known.
        processes: number of processes that shared the training; ``threads`` are those of each.
        backend: of torch.distributed, by which these talk; empty for one process.
        kernels: what decides which kernels a GPU ran: whether the network was ``compiled``, whether
            float32 products were rounded to ``tf32``, and whether convolutions were chosen by
            trying them (``cudnn_benchmark``); empty for a CPU.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    python: str
    packages: dict[str, str]
    system: str
    host: str
    device: str
    threads: int
    processor: str = ""
    processes: int = 1
    backend: str = ""
    kernels: dict[str, bool] = Field(default_factory=dict)


PACKAGES = ("torch", "torchvision", "numpy", "pillow", "hotcoco", "pycocotools", "fvcore")


def describe(
    device: str,
    threads: int,
    kernels: Mapping[str, bool] | None = None,
    processes: int = 1,
    backend: str = "",
) -> Environment:
    """The environment of this process, or of a training that several share.

    All arguments come from torch.
    """
    return Environment(
        code=_loaded_version(),
        python=platform.python_version(),
        packages={name: number for name in PACKAGES if (number := package_version(name))},
        system=f"{platform.system()} {platform.machine()}",
        host=platform.node(),
        device=device,
        threads=threads,
        processor=processor_digest(),
        processes=processes,
        backend=backend,
        kernels=dict(kernels or {}),
    )


def package_version(name: str) -> str:
    """The installed version; empty if the package is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def code_version() -> str:
    """Version of the code on disk: ``0.1.0``, ``0.1.0 1a2b3c4`` or ``0.1.0 1a2b3c4+changes``."""
    root = Path(__file__).resolve().parent.parent
    commit = _git(root, "rev-parse", "--short=10", "HEAD")
    if not commit or not (root / "sobench").is_dir():
        return sobench.__version__
    changes = "+changes" if _git(root, "status", "--porcelain", "--", "sobench") else ""
    return f"{sobench.__version__} {commit}{changes}"


@cache
def _loaded_version() -> str:
    """Version at the first call in this process: a checkout may change during a long matrix."""
    return code_version()


def cpu_name() -> str:
    """The processor's model name and its number of usable cores."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {usable_cores()} cores"


@cache
def processor_digest() -> str:
    """12 hexadecimal digits, equal for processors that calculate alike; empty if not on Linux."""
    keys = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part")
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return ""
    told = sorted(line for line in lines if line.partition("\t")[0].strip(" :") in keys)
    return sha256("\n".join(told).encode()).hexdigest()[:12] if told else ""


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _git(root: Path, *arguments: str) -> str:
    """Output of a git command in a checkout; empty if it fails or there is no checkout."""
    if not (root / ".git").exists():
        return ""
    try:
        result = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
