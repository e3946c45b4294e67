"""``sobench tune``."""

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
from sobench.commands.training import train_missing
from sobench.compare.tuning import tune_rows, tuned_row
from sobench.errors import RequestError, SuiteError
from sobench.report.hashing import shown_fingerprint
from sobench.report.tuning import print_tuning
from sobench.suite.grid import plan_trials, read_grid
from sobench.suite.overrides import read_request
from sobench.suite.sections import Suite
from sobench.suite.tuned import TunedFile, TunedRow, read_tuned, tuned_path, write_tuned
from sobench.text import printable


@click.command()
@suite_options
@click.option(
    "--grid", multiple=True, required=True, metavar="KEY=V1,V2",
    help="Values to try for a key of the suite; of several, every combination is a trial.",
)  # fmt: skip
@click.option(
    "--holdout", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.2,
    show_default=True, help="Share of the training images that trials are scored on.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="File of the chosen values, instead of the suite's `tuned` or SUITE.tuned.yaml.",
)  # fmt: skip
@results_option
@device_option
@checkpoint_option
@trust_mtime_option
@click.pass_context
def command(
    context: click.Context,
    /,
    grid: tuple[str, ...],
    holdout: float,
    out: Path | None,
    results: Path,
    device: str | None,
    checkpoint_seconds: float,
    trust_mtime: bool,
    **options: Any,
) -> None:
    """Choose settings on held-out training images, with equally many trials for every row."""
    values = read_grid(grid)
    request = read_request(**options)
    suite = request.suite
    path = out or _default_path(options["suite"], suite)
    _kept_rows(path, suite)  # a file that must not be replaced is reported before the trainings
    # The val split is not read, not even to hash it.
    data = shown_fingerprint(suite.dataset, trust_mtime, ("train",))
    runs = plan_trials(request, values, holdout, data)
    _, states = train_missing(runs, results, device, checkpoint_seconds)
    tunings = tune_rows(runs, states)
    rows = {t.label: tuned_row(t, runs, states) for t in tunings if t.chosen}
    print_tuning(suite.title or suite.name, tunings, rows, stdout())
    if rows:
        write_tuned(path, TunedFile(suite=suite.name, rows=_kept_rows(path, suite) | rows))
        click.echo(printable(str(path)))
    context.exit(0 if len(rows) == len(tunings) else 1)


def _default_path(file: Path, suite: Suite) -> Path:
    """The file that the suite takes its values from, or one beside the suite."""
    return file.with_suffix(".tuned.yaml") if suite.tuned == "none" else tuned_path(suite)


def _kept_rows(path: Path, suite: Suite) -> dict[str, TunedRow]:
    """The rows of this suite that the file has already.

    Raises:
        RequestError: the file is something else, or of another suite.
    """
    way_out = "name another file with --out"
    try:
        content = read_tuned(path)
    except FileNotFoundError:
        return {}
    except SuiteError:
        raise RequestError(f"{path}: is there and holds no chosen values; {way_out}") from None
    if content.suite != suite.name:
        raise RequestError(f"{path}: is of suite {content.suite}, not {suite.name}; {way_out}")
    labels = {entry.label for entry in suite.methods}
    return {label: row for label, row in content.rows.items() if label in labels}
