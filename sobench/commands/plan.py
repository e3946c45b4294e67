"""``sobench plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sobench.commands.options import results_option, stdout, suite_options, trust_mtime_option
from sobench.data.hashes import NewFiles
from sobench.errors import DataError
from sobench.report.hashing import shown_fingerprint
from sobench.report.plan import print_needs, print_plan
from sobench.report.prune import size
from sobench.runs.needs import data_needs
from sobench.runs.search import changed_data
from sobench.runs.state import read_states
from sobench.suite.overrides import read_request
from sobench.suite.plan import with_required

MOST_HASHED = 20_000, 2**32
"""Number and bytes of new files that are hashed for a plan: some seconds' worth."""


@click.command()
@suite_options
@results_option
@trust_mtime_option
def command(results: Path, trust_mtime: bool, **options: Any) -> None:
    """Show the runs of a suite, how far each has come, and what room their data take."""
    request = read_request(**options)
    problem: DataError | None = None
    data, has_data, notes = "", True, []
    try:
        data = shown_fingerprint(request.suite.dataset, trust_mtime, most=MOST_HASHED)
    except NewFiles as new:
        notes.append(
            f"{new.count} new files of the dataset, {size(new.size)}, are not hashed yet, "
            "which `sobench data` and `sobench run` do: until then the states are those of the "
            "results that are there, and runs have no ids"
        )
    except DataError as error:
        problem, has_data = error, False
    runs = with_required(request.runs(data))
    states = read_states(runs, results) if has_data else {}
    notes += changed_data(runs, results) if data else ()
    print_plan(runs, states, stdout(), notes)
    # Without its data a suite can be looked at, but not run.
    if problem is not None:
        raise problem
    print_needs(data_needs(runs), stdout())
