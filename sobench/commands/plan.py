"""``sobench plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sobench.commands.options import (
    gathered_option,
    options_of_suites,
    processes_option,
    stdout,
    trust_mtime_option,
)
from sobench.commands.suites import check_distinct
from sobench.data.hashes import NewFiles
from sobench.errors import DataError
from sobench.garbage import no_garbage_collection
from sobench.report.hashing import shown_fingerprint
from sobench.report.plan import print_needs, print_plan, print_plans
from sobench.report.prune import size
from sobench.runs.gathered import Results, clashes_of
from sobench.runs.needs import data_needs
from sobench.runs.search import changed_data
from sobench.runs.state import read_states
from sobench.suite.overrides import read_request
from sobench.suite.plan import with_required
from sobench.suite.shared_batches import sharing_notes

MOST_HASHED = 20_000, 2**32
"""Number and bytes of new files that are hashed for a plan: some seconds' worth."""


@click.command()
@click.argument(
    "suites", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SUITE..."
)
@options_of_suites
@gathered_option
@trust_mtime_option
@processes_option
@no_garbage_collection()
def command(
    suites: tuple[Path, ...],
    results: Results,
    trust_mtime: bool,
    processes: int,
    **options: Any,
) -> None:
    """Show the runs of a suite, how far each has come, and what room their data take.

    Of several suites, show how many runs each has in which state.
    """
    requests = [read_request(suite=suite, **options) for suite in suites]
    check_distinct(suites, requests)
    problem: DataError | None = None
    plans, notes = [], [*clashes_of(results)]
    for request in requests:
        data, has_data = "", True
        try:
            data = shown_fingerprint(request.suite.dataset, trust_mtime, most=MOST_HASHED)
        except NewFiles as new:
            where = f"{request.suite.name}: " if len(requests) > 1 else ""
            notes.append(
                f"{where}{new.count} new files of the dataset, {size(new.size)}, are not hashed "
                "yet, which `sobench data` and `sobench run` do: until then states are those of "
                "the results that are there, and runs have no ids"
            )
        except DataError as error:
            problem, has_data = problem or error, False
        runs = with_required(request.runs(data))
        plans.append((runs, read_states(runs, results) if has_data else {}))
        notes += sharing_notes(runs, processes)
        # Of many suites, as of many runs, only the state is told and not why.
        notes += changed_data(runs, results) if data and len(requests) == 1 else []
    if len(plans) == 1:
        print_plan(*plans[0], stdout(), notes)
    else:
        print_plans(plans, stdout(), notes)
    # Without its data a suite can be looked at, but not run.
    if problem is not None:
        raise problem
    if len(plans) == 1:
        print_needs(data_needs(plans[0][0]), stdout())
