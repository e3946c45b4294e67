"""``sobench run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sobench.commands.options import (
    checkpoint_option,
    device_option,
    results_option,
    stdout,
    suite_options,
    trust_mtime_option,
)
from sobench.commands.training import foresee, train_missing
from sobench.compare import leaderboard
from sobench.report.forecast import print_forecast
from sobench.report.hashing import shown_fingerprint
from sobench.report.leaderboard import print_leaderboard
from sobench.runs.external import bring_up_to_date
from sobench.runs.external_runs import external_runs
from sobench.suite.external import ExternalRun
from sobench.suite.overrides import read_request


@click.command()
@suite_options
@results_option
@device_option
@checkpoint_option
@trust_mtime_option
@click.option(
    "--dry-run", is_flag=True,
    help="Check everything and say what it will cost, by a few timed steps; train and write "
    "nothing.",
)  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    /,
    results: Path,
    device: str | None,
    checkpoint_seconds: float,
    trust_mtime: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Train and score what is missing, then print the leaderboard."""
    request = read_request(**options)
    runs = request.runs(shown_fingerprint(request.suite.dataset, trust_mtime))
    if dry_run:
        forecast = foresee(runs, results, device)
        print_forecast(forecast, stdout())
        context.exit(1 if forecast.failures or forecast.lacks_room else 0)
    outcomes, states = train_missing(runs, results, device, checkpoint_seconds)
    external: list[ExternalRun] = []
    if not request.methods and not request.seeds:
        external = external_runs(request, results, runs[0].data)
    scored = states | bring_up_to_date(external, results)
    if any(state.result for state in scored.values()):
        print_leaderboard(leaderboard.build([*runs, *external], scored, results), stdout())
    has_failed = any(outcome.status in ("failed", "diverged") for outcome in outcomes)
    is_done = all(state.name == "done" for state in states.values())
    context.exit(0 if is_done and not has_failed else 1)
