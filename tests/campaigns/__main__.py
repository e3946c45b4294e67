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
    "kills": 4,
    "faults": 4,
    "corruption": 4,
    "inputs": 1,
    "processes": 2,
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
    workers = WORKERS if minutes else 1
    with ProcessPoolExecutor(workers, get_context("fork")) as pool:
        jobs = [
            pool.submit(work, names, seed + FURTHER * worker, 60 * minutes, place / str(worker))
            for worker in range(workers)
        ]
        parts = [job.result() for job in jobs]
    all_counts = [sum(same[1:], same[0]) for same in zip(*parts, strict=True)]
    failures = sum(len(counts.failures) for counts in all_counts)
    print(table(all_counts))
    if failures:
        print(f"the folders of the cases that failed are below {place}")
    else:
        shutil.rmtree(place)
    sys.exit(1 if failures else 0)


def work(names: list[str], seed: int, seconds: float, folder: Path) -> list[Counts]:
    """What one worker finds; its campaigns share the time."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    whole = sum(SHARES[name] for name in names)
    all_counts = []
    for name in names:
        module = import_module(f"tests.campaigns.{name}")
        counts: Counts = module.campaign(seed, seconds * SHARES[name] / whole, folder)
        all_counts.append(counts)
        for line in counts.failures:
            print(f"FAILED {name}: {line}", flush=True)
        outcomes = ", ".join(f"{n} {outcome}" for outcome, n in counts.outcomes.most_common())
        print(f"{name} (seed {seed}): {counts.cases} cases: {outcomes}", flush=True)
    return all_counts


if __name__ == "__main__":
    main()
