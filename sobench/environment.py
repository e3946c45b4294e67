"""Where a number came from: versions, machine, code. Imports nothing heavy by itself."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import sobench


class Environment(BaseModel):
    """Stamped on every record.

    Attributes:
        code: version, with the commit where the code runs from a checkout, and ``+changes`` where
            that checkout differs from its commit.
        device: the device a run trained on, in words.
        threads: CPU threads that torch used.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    python: str
    packages: dict[str, str]
    system: str
    host: str
    device: str
    threads: int


PACKAGES = ("torch", "torchvision", "numpy", "pillow", "hotcoco", "pycocotools", "fvcore")


def describe(device: str, threads: int) -> Environment:
    """The environment of this process; ``device`` and ``threads`` are torch's to tell."""
    return Environment(
        code=_loaded_version(),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := package_version(name))},
        system=f"{platform.system()} {platform.machine()}",
        host=platform.node(),
        device=device,
        threads=threads,
    )


def package_version(name: str) -> str:
    """Installed version, or an empty string."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def code_version() -> str:
    """Of the code as it is now: ``0.1.0``, ``0.1.0 1a2b3c4`` or ``0.1.0 1a2b3c4+changes``."""
    root = Path(__file__).resolve().parent.parent
    commit = _git(root, "rev-parse", "--short=10", "HEAD")
    if not commit or not (root / "sobench").is_dir():
        return sobench.__version__
    changes = "+changes" if _git(root, "status", "--porcelain", "--", "sobench") else ""
    return f"{sobench.__version__} {commit}{changes}"


@cache
def _loaded_version() -> str:
    """Of the code as this process first asked: a checkout may change under a long matrix."""
    return code_version()


def cpu_name() -> str:
    """The processor's model name, with its usable cores."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {usable_cores()} cores"


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _git(root: Path, *arguments: str) -> str:
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
