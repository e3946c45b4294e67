"""``sobench run``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sobench.commands.options import (
    checkpoint_option,
    device_option,
    processes_option,
    results_option,
    stdout,
    suite_options,
    trust_mtime_option,
)
from sobench.commands.training import Spread, foresee, train_missing, train_spread
from sobench.compare import leaderboard
from sobench.report.forecast import print_forecast
from sobench.report.hashing import shown_fingerprint
from sobench.report.leaderboard import print_leaderboard
from sobench.runs.external import bring_up_to_date
from sobench.runs.external_runs import external_runs
from sobench.suite.external import ExternalRun
from sobench.suite.overrides import read_request
from sobench.text import quoted


@click.command()
@suite_options
@results_option
@device_option
@checkpoint_option
@trust_mtime_option
@processes_option
@click.option(
    "--dry-run", is_flag=True,
    help="Check everything and say what it will cost, by a few timed steps; train and write "
    "nothing.",
)  # fmt: skip
@click.option(
    "--latency", is_flag=True,
    help="Measure the latencies that were left out because others used the device.",
)  # fmt: skip
@click.option(
    "--spread", type=click.Choice(["ray", "slurm"]),
    help="Hand the runs to the workers of a Ray cluster or a Slurm queue.",
)  # fmt: skip
@click.option(
    "--address", metavar="ADDRESS",
    help="Of the Ray cluster: auto, or host:port; by default one of this machine alone. With "
    "--spread slurm, local takes processes of this machine in place of a queue.",
)  # fmt: skip
@click.option(
    "--slurm", "slurm", multiple=True, metavar="KEY=VALUE",
    help="A parameter of Slurm's jobs, such as partition=gpu or time=600 (minutes).",
)  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    /,
    results: Path,
    device: str | None,
    checkpoint_seconds: float,
    trust_mtime: bool,
    processes: int,
    dry_run: bool,
    latency: bool,
    spread: str | None,
    address: str | None,
    slurm: Sequence[str],
    **options: Any,
) -> None:
    """Train and score what is missing, then print the leaderboard."""
    engine = _spread(spread, address, processes, slurm)
    if engine is not None and (latency or dry_run):
        raise click.UsageError("--spread goes with neither --latency nor --dry-run")
    request = read_request(**options)
    runs = request.runs(shown_fingerprint(request.suite.dataset, trust_mtime))
    if dry_run:
        forecast = foresee(runs, results, device)
        print_forecast(forecast, stdout())
        context.exit(1 if forecast.failures or forecast.lacks_room else 0)
    if engine is not None:
        outcomes, states = train_spread(runs, results, device, checkpoint_seconds, engine)
    else:
        outcomes, states = train_missing(
            runs, results, device, checkpoint_seconds, latency, processes
        )
    external: list[ExternalRun] = []
    if not request.methods and not request.seeds:
        external = external_runs(request, results, runs[0].data)
    scored = states | bring_up_to_date(external, results)
    if any(state.result for state in scored.values()):
        print_leaderboard(leaderboard.build([*runs, *external], scored, results), stdout())
    has_failed = any(outcome.status in ("failed", "diverged") for outcome in outcomes)
    is_done = all(state.name == "done" for state in states.values())
    context.exit(0 if is_done and not has_failed else 1)


def _spread(
    engine: str | None, address: str | None, gpus: int, slurm: Sequence[str]
) -> Spread | None:
    """Who does the runs, if not this process.

    Raises:
        click.UsageError: the options do not fit together.
    """
    if engine is None:
        if address or slurm:
            raise click.UsageError("--address and --slurm go with --spread")
        return None
    if engine == "ray" and slurm:
        raise click.UsageError("--slurm goes with --spread slurm")
    if engine == "slurm" and address not in (None, "local"):
        raise click.UsageError("--spread slurm takes no --address but local")
    pairs = [text.partition("=") for text in slurm]
    if wrong := [key for key, sign, value in pairs if not (key and sign and value)]:
        raise click.UsageError(f"--slurm {quoted(wrong[0])} is not of the form KEY=VALUE")
    return Spread(engine, address, gpus, {key: value for key, _, value in pairs})
