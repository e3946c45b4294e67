"""All campaigns for some minutes on two cores: ``python -m tests.campaigns``."""

from __future__ import annotations

import os
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import click

from tests.campaigns.counts import Counts, table
from tests.campaigns.place import new_place

SHARES = {
    "kills": 14,
    "faults": 16,
    "corruption": 17,
    "inputs": 1,
    "processes": 3,
    "machines": 4,
    "fuzz_suites": 2,
    "fuzz_readers": 3,
    "fuzz_images": 1,
    "fuzz_detections": 2,
    "fuzz_foreign": 1,
    "fuzz_plugins": 1,
}
"""Every campaign, which is the module of its name, and its share of the time."""

WORKERS = 2
FURTHER = 10_000_000
"""Between the seeds of two workers."""


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0), default=20.0, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), help="Of the first case; else by the clock.")
@click.option("--only", default="", metavar="A,B", help=f"Of {', '.join(SHARES)}.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where cases work, in a new folder."
)
def main(minutes: float, seed: int | None, only: str, folder: Path | None) -> None:
    """Disturb the command line in every way, and count what came of it.

    Without any minutes one case is tried, that of the seed.
    """
    names = only.split(",") if only else list(SHARES)
    if unknown := set(names) - SHARES.keys():
        raise click.UsageError(f"no campaign {', '.join(sorted(unknown))}")
    seed = int(time.time()) % FURTHER if seed is None else seed
    print(f"seed {seed}, {minutes:g} minutes", flush=True)
    place = new_place(folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    whole = sum(SHARES[name] for name in names)
    found = [
        in_all_workers(name, seed, 60 * minutes * SHARES[name] / whole, place) for name in names
    ]
    failures = sum(len(counts.failures) for counts in found)
    print(table(found))
    if failures:
        print(f"the folders of the cases that failed are below {place}")
    else:
        shutil.rmtree(place)
    sys.exit(1 if failures else 0)


def in_all_workers(name: str, seed: int, seconds: float, place: Path) -> Counts:
    """What all workers find in a campaign, each with seeds of its own; prints what failed."""
    workers = WORKERS if seconds else 1
    # New processes for each: the threads of a library that one has used survive no fork.
    with ProcessPoolExecutor(workers, get_context("fork")) as pool:
        jobs = [
            pool.submit(work, name, seed + FURTHER * worker, seconds, place / f"{name}-{worker}")
            for worker in range(workers)
        ]
        parts = [job.result() for job in jobs]
    counts = sum(parts[1:], parts[0])
    for line in counts.failures:
        print(f"FAILED {name}: {line}")
    print(f"{name}: {counts.cases} cases, {len(counts.failures)} failures", flush=True)
    return counts


def work(name: str, seed: int, seconds: float, folder: Path) -> Counts:
    """What one worker finds."""
    folder.mkdir(parents=True, exist_ok=True)
    counts: Counts = import_module(f"tests.campaigns.{name}").campaign(seed, seconds, folder)
    return counts


if __name__ == "__main__":
    main()
