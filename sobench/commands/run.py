"""``sobench run``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from sobench.commands.options import (
    checkpoint_option,
    device_option,
    results_option,
    stderr,
    stdout,
    suite_options,
    trust_mtime_option,
)
from sobench.compare import leaderboard
from sobench.report.hashing import shown_fingerprint
from sobench.report.progress import MatrixProgress
from sobench.report.terminal import print_leaderboard
from sobench.runs.search import changed_data
from sobench.runs.state import state_of
from sobench.suite.overrides import read_request


@click.command()
@suite_options
@results_option
@device_option
@checkpoint_option
@trust_mtime_option
@click.pass_context
def command(
    context: click.Context,
    /,
    results: Path,
    device: str | None,
    checkpoint_seconds: float,
    trust_mtime: bool,
    **options: Any,
) -> None:
    """Train and score what is missing, then print the leaderboard."""
    request = read_request(**options)
    runs = request.runs(shown_fingerprint(request.suite.dataset, trust_mtime))
    # torch takes seconds to import: a wrong suite or missing data are reported before that.
    from sobench.device import check_bf16, choose_device
    from sobench.runs.matrix import run_matrix

    chosen = choose_device(device or request.suite.device)
    # What methods of other packages print must not get among the results.
    with MatrixProgress(stderr()) as progress, redirect_stdout(sys.stderr):
        if widths := [r.suite.input.size[1] for r in runs if r.suite.precision == "bf16"]:
            check_bf16(min(widths), chosen, progress.warn)
        for line in changed_data(runs, results):
            progress.warn(line)
        outcomes = list(run_matrix(runs, results, chosen, progress, checkpoint_seconds))
    # The board is built from the outcomes, which no file need be read again for.
    by_id = {outcome.settings_id: outcome for outcome in outcomes}
    states = {run.settings_id: state_of(run, by_id[run.settings_id]) for run in runs}
    if any(state.result for state in states.values()):
        print_leaderboard(leaderboard.build(runs, states, results), stdout())
    has_failed = any(outcome.status in ("failed", "diverged") for outcome in outcomes)
    is_done = all(state.name == "done" for state in states.values())
    context.exit(0 if is_done and not has_failed else 1)
