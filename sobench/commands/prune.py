"""``sobench prune``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from sobench.commands.options import results_option, stderr, stdout
from sobench.errors import RequestError
from sobench.report.prune import print_removable, size
from sobench.runs.gathered import run_folders
from sobench.runs.prune import delete, removable, removable_caches, unneeded_weights
from sobench.suite.plan import plan
from sobench.suite.reader import load


@click.command()
@click.argument("suites", nargs=-1, type=click.Path(path_type=Path), metavar="[SUITE]...")
@results_option
@click.option(
    "--weights", is_flag=True,
    help="Also the weights of finished runs of these suites, unless another run needs them.",
)  # fmt: skip
@click.option(
    "--older-than", "days", type=click.FloatRange(min=0), default=30.0, show_default=True,
    metavar="DAYS", help="Files of the cache folder that were not read for so long.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Delete nothing; name every file.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(
    suites: tuple[Path, ...], results: Path, weights: bool, days: float, dry_run: bool, yes: bool
) -> None:
    """Delete what no run needs any more, and say what that costs.

    Looks at the runs of these suites, or else at all runs below --results, and at the cache folder.
    Records, detections, matches, and what unfinished runs go on from always stay.
    """
    if weights and not suites:
        raise RequestError(
            "--weights: name the suites; a run that was not begun may need the weights of another"
        )
    read = [load(path) for path in suites]
    folders = [folder for suite in read for folder in run_folders(results, suite.name)]
    unneeded: set[Path] = set()
    if weights:
        for suite in read:
            unneeded |= unneeded_weights(plan(suite), results)
    files = [*removable(folders if suites else run_folders(results), unneeded, _note)]
    files += removable_caches(time.time(), days)
    if not files:
        click.echo("nothing to delete")
        return
    print_removable(files, stdout(), list_files=dry_run)
    if dry_run:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise RequestError("nobody to ask; add --yes to delete, or --dry-run to look")
        if not click.confirm("Delete these files?"):
            return
    deleted = delete(files, unneeded, _note)
    click.echo(f"deleted {len(deleted)} files: {size(sum(file.size for file in deleted))} freed")


def _note(message: str) -> None:
    stderr().print(f"note: {message}", soft_wrap=True)
