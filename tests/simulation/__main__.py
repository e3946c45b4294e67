"""Simulate 10,000 runs on 64 GPUs with failures: ``python -m tests.simulation``.

The matrix is that of the ten methods over and over, zoominnet after the teacher that it learns
from. Durations are in proportion to the images a second at which each method was trained for
``baselines/recorded/smoke.json``; the teacher, an FPN at twice the input size, takes four times as
long as ``fpn``.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import mean

import click

from tests.simulation.cluster import HOUR, Cluster, Job, bounds, simulate

BASELINE = Path(__file__).parents[2] / "baselines" / "recorded" / "smoke.json"
TEACHER = 4.0


def method_costs() -> dict[str, float]:
    """Method -> duration of its training, in trainings of ``fpn``."""
    rows = json.loads(BASELINE.read_text())["rows"]
    rates = {
        name: mean(seed["train_images_s"] for seed in row["seeds"]) for name, row in rows.items()
    }
    return {name: rates["fpn"] / rate for name, rate in rates.items()}


def matrix(runs: int, hours: float) -> list[Job]:
    """So many runs in the order of a plan; ``hours`` is one training of ``fpn``."""
    costs, jobs, block = method_costs(), list[Job](), 0
    while len(jobs) < runs:
        for name, cost in costs.items():
            teacher = f"teacher {block}"
            needed = (teacher,) if name == "zoominnet" else ()
            if needed:
                jobs.append(Job(teacher, TEACHER * hours * HOUR))
            jobs.append(Job(f"{name} {block}", cost * hours * HOUR, needed))
        block += 1
    return jobs[:runs]


@click.command()
@click.option("--runs", default=10_000)
@click.option("--workers", default="64", help="Numbers of GPUs, with commas.")
@click.option("--rates", default="0,0.001,0.01,0.1", help="Failures of a worker in an hour.")
@click.option("--hours", default=1.0, help="One training of fpn.")
@click.option("--operations", default=10_000.0, help="Of the file server in a second.")
@click.option("--seed", default=0)
def main(runs: int, workers: str, rates: str, hours: float, operations: float, seed: int) -> None:
    """Print what each number of workers and rate of failures makes of the matrix."""
    jobs = matrix(runs, hours)
    costs = ", ".join(f"{name} {cost:.2f}" for name, cost in method_costs().items())
    click.echo(f"{runs} runs; in trainings of fpn: {costs}, teacher {TEACHER:.2f}")
    click.echo(
        f"{'GPUs':>5}{'failures/h':>11}{'work/GPUs':>11}{'chain':>8}{'makespan':>10}{'over':>8}"
        f"{'failures':>9}{'lost':>8}{'reloaded':>9}{'looking':>9}{'start':>8}{'file ops':>10}"
        f"{'computed':>10}"
    )
    for number in map(int, workers.split(",")):
        work, chain = bounds(jobs, number)
        for rate in map(float, rates.split(",")):
            begun = time.perf_counter()
            cluster = Cluster(number, rate, operations_per_second=operations)
            found = simulate(jobs, cluster, seed)
            whole = work * number
            bound = max(work, chain)
            click.echo(
                f"{number:5}{rate:11g}{work / HOUR:9.2f} h{chain / HOUR:6.2f} h"
                f"{found.makespan / HOUR:8.2f} h{100 * (found.makespan / bound - 1):7.2f}%"
                f"{found.failures:9}{100 * found.lost / whole:7.3f}%"
                f"{100 * found.reloaded / whole:8.3f}%{100 * found.looking / whole:8.3f}%"
                f"{found.longest_start / 60:4.0f} min{found.operations / 1e6:8.1f} M"
                f"{time.perf_counter() - begun:8.1f} s"
            )


if __name__ == "__main__":
    main()
