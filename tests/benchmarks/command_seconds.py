"""How long a command takes, in a process of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def command_seconds(folder: Path, *arguments: str, **variables: str) -> tuple[float, float, str]:
    """Run ``sobench ARGUMENTS`` in a folder, with its cache below it.

    Args:
        variables: of the environment, beside those that there are.

    Returns:
        processor and wall-clock seconds, and what it printed.
    """
    own = {"PYTHONPATH": str(CHECKOUT), "SOBENCH_CACHE": str(folder / "cache")}
    before, used = time.perf_counter(), _processor_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "sobench", *arguments],
        cwd=folder, env=os.environ | own | variables, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return _processor_seconds() - used, time.perf_counter() - before, done.stdout


def _processor_seconds() -> float:
    """Of all processes that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
