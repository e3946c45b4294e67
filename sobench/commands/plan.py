"""``sobench plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sobench.commands.options import (
    processes_option,
    results_option,
    stdout,
    suite_options,
    trust_mtime_option,
)
from sobench.errors import DataError
from sobench.report.hashing import shown_fingerprint
from sobench.report.plan import print_plan
from sobench.runs.search import changed_data
from sobench.runs.state import read_states
from sobench.suite.overrides import read_request
from sobench.suite.plan import with_required
from sobench.suite.shared_batches import sharing_notes


@click.command()
@suite_options
@results_option
@trust_mtime_option
@processes_option
def command(results: Path, trust_mtime: bool, processes: int, **options: Any) -> None:
    """Show the runs of a suite and how far each has come."""
    request = read_request(**options)
    problem: DataError | None = None
    data = ""
    try:
        data = shown_fingerprint(request.suite.dataset, trust_mtime)
    except DataError as error:
        problem = error
    runs = with_required(request.runs(data))
    states = read_states(runs, results) if data else {}
    notes = changed_data(runs, results) if data else []
    print_plan(runs, states, stdout(), [*notes, *sharing_notes(runs, processes)])
    # Without its data a suite can be looked at, but not run.
    if problem is not None:
        raise problem
