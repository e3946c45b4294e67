"""The table of differences: ``python -m tests.benchmarks.sharing``.

Every row trains in one process and in two, by gloo, for 20 steps of each of its stages, and the
losses are compared step by step. In float64 rounding stays far below what a mistake would do.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from tests.training.sharing import ROWS, differences

LIMIT = 1e-4
"""The greatest difference of a loss that passes."""


@click.command()
@click.option("--processes", type=click.IntRange(min=2, max=2), default=2, show_default=True)
@click.option("--only", default="", help="Rows whose name has this in it.")
def main(processes: int, only: str) -> None:
    """Print the greatest difference of every loss, and fail if one is too great."""
    rows = [row for row in ROWS if only in str(row)]
    began = time.monotonic()
    print("| row | greatest difference of each loss |\n|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = differences(rows, processes, Path(folder))
    worst = max(value for row in found for value in row.values())
    print(f"\n{len(rows)} rows, greatest difference {worst:.1e}, {time.monotonic() - began:.0f} s")
    raise SystemExit(worst > LIMIT)


if __name__ == "__main__":
    main()
