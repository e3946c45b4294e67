"""``sobench check``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from sobench.commands.output import Output, format_names, write_outputs
from sobench.commands.training import train_missing
from sobench.compare.accuracy_gate import power_findings
from sobench.compare.baseline import Baseline, baseline_of, read_baseline, write_baseline
from sobench.compare.baseline_fit import check_fits
from sobench.compare.findings import Regression
from sobench.compare.regression import compare
from sobench.environment import code_version
from sobench.errors import NothingToCompare, RequestError, RunError
from sobench.report.check import print_check, print_power
from sobench.report.check_formats import FORMATS
from sobench.report.hashing import shown_fingerprint
from sobench.runs.search import search
from sobench.runs.state import States, read_states
from sobench.suite.overrides import Request, read_request
from sobench.suite.plan import Run
from sobench.text import printable

_TO_STDOUT = ("terminal", "github")
"""Formats that are read from what a command prints, also with ``--out``."""

_SEEDS, _FEWEST = (0, 1, 2, 3, 4), 3
"""Seeds of a baseline whose suite has fewer than three."""

REGRESSION = 3
"""Exit code of a check that found one."""


@click.command()
@suite_options
@click.option(
    "--baseline", "path", type=click.Path(path_type=Path), metavar="FILE",
    help="Instead of baselines/recorded/SUITE.json, beside the suite's folder or here.",
)  # fmt: skip
@click.option("--record", is_flag=True, help="Write the baseline, from three seeds or more.")
@click.option("--no-run", is_flag=True, help="Train nothing; compare the results that are there.")
@click.option(
    "--format", "formats", default="terminal", show_default=True,
    metavar="terminal|json|junit|github", help="One, or several with commas and --out.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder for SUITE.check.json and SUITE.check.xml; the others are printed.",
)  # fmt: skip
@results_option
@device_option
@checkpoint_option
@trust_mtime_option
@click.pass_context
def command(
    context: click.Context,
    /,
    path: Path | None,
    record: bool,
    no_run: bool,
    formats: str,
    out: Path | None,
    results: Path,
    **options: Any,
) -> None:
    """Fail if results are worse than the suite's recorded baseline, for CI.

    Exit codes: 0 pass, 2 wrong request, 3 regression, 4 nothing to compare.
    """
    names = format_names(formats, out, list(FORMATS), 1, _TO_STDOUT)
    training = {key: options.pop(key) for key in ("device", "checkpoint_seconds", "trust_mtime")}
    request = read_request(**options)
    file = path or _default_path(options["suite"], request.suite.name, record)
    if record:
        _record(request, file, results, no_run, training)
        return
    baseline = read_baseline(file)
    # What cannot be compared is reported before anything is trained for it.
    check_fits(file, baseline, request.runs(""))
    if no_run:
        runs = request.runs("")
        states = _stored(runs, results, baseline)
    else:
        runs = request.runs(shown_fingerprint(request.suite.dataset, training["trust_mtime"]))
        check_fits(file, baseline, runs)
        states = _trained(runs, results, training)
    regression = compare(runs, states, baseline, not request.methods, code_version())
    _print(regression, names, out)
    context.exit(REGRESSION if regression.failing else 0)


def _record(
    request: Request, file: Path, results: Path, no_run: bool, training: dict[str, Any]
) -> None:
    """Write a baseline and say what checks against it will find.

    Raises:
        RequestError: the file has rows that would be lost.
        RunError: a run has no result, so that there is no baseline.
        NothingToCompare: there is no result at all.
    """
    suite = request.suite
    seeds = request.seeds or (suite.seeds if len(suite.seeds) >= _FEWEST else _SEEDS)
    whole = replace(request, seeds=seeds)
    runs = whole.runs("" if no_run else shown_fingerprint(suite.dataset, training["trust_mtime"]))
    _check_keeps(file, runs)
    code = code_version()  # of the trainings, which take long
    states = read_states(runs, results) if no_run else _trained(runs, results, training)
    undone = [run for run in runs if not states[run.settings_id].result]
    if undone:
        state = states[undone[0].settings_id]
        kind = NothingToCompare if len(undone) == len(runs) and no_run else RunError
        raise kind(
            f"{suite.name}: {len(undone)} of {len(runs)} runs have no result, so nothing is "
            f"recorded; {undone[0].name}: {state.name} {state.reason}".rstrip()
        )
    baseline = baseline_of(runs, states, code)
    write_baseline(file, baseline)
    recorded = {label: row.seeds for label, row in baseline.rows.items()}
    number = len(request.seeds or suite.seeds)
    title = f"{suite.title or suite.name}: what a check with {_counted(number)} will find"
    print_power(title, power_findings(recorded, number, suite.protocol), stdout())
    changed = sorted({m.code for m in baseline.machines if m.code.endswith("+changes")})
    if changed:
        stderr().print(f"recorded from code that no commit has: {', '.join(changed)}")
    click.echo(printable(str(file)))


def _counted(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def _check_keeps(file: Path, runs: Sequence[Run]) -> None:
    """Refuse to drop rows of a baseline of the same suite because ``--methods`` left them out."""
    if not file.exists():
        return
    try:
        known = read_baseline(file)
    except RequestError:
        return  # damaged or of another version: to be replaced
    lost = [label for label in known.rows if label not in {run.entry.label for run in runs}]
    planned = {entry.label for entry in runs[0].suite.methods}
    if known.suite != runs[0].suite.name:
        raise RequestError(
            f"{file}: is the baseline of suite {known.suite}; name another file with --baseline"
        )
    if lost := [label for label in lost if label in planned]:
        raise RequestError(
            f"{file}: has rows that would be lost: {', '.join(lost)}; leave out --methods, or name "
            "another file with --baseline"
        )


def _stored(runs: Sequence[Run], results: Path, baseline: Baseline) -> States:
    """The states of runs on the baseline's data.

    Raises:
        RequestError: all results are on other data.
    """
    others = sorted(data for data in search(runs, results).by_data if data)
    if others and baseline.data not in others:
        raise RequestError(
            f"{results}: the results are of other data ({', '.join(others)}) than the baseline "
            f"({baseline.data}); leave out --no-run, or record the baseline anew"
        )
    return read_states(runs, results, baseline.data)


def _trained(runs: Sequence[Run], results: Path, training: dict[str, Any]) -> States:
    """Train and score what is missing."""
    return train_missing(runs, results, training["device"], training["checkpoint_seconds"])[1]


def _print(regression: Regression, names: Sequence[str], out: Path | None) -> None:
    def form(render: Callable[[Regression], str]) -> Callable[[], str]:
        return lambda: render(regression)

    forms = {name: (suffix, form(render)) for name, (suffix, render) in FORMATS.items()}
    stem = f"{regression.suite}.check"
    output = Output(stem, lambda console: print_check(regression, console), forms)
    for name in names:
        write_outputs([output], [name], None if name in _TO_STDOUT else out)


def _default_path(suite: Path, name: str, record: bool) -> Path:
    """``baselines/recorded/NAME.json`` beside the suite's folder, or else in the working folder.

    A new one is written beside the suite's folder if that has ``baselines`` already.
    """
    place = Path("baselines") / "recorded" / f"{name}.json"
    beside = suite.parent / ".." / place
    is_beside = (suite.parent / ".." / "baselines").is_dir() if record else beside.is_file()
    return Path(os.path.normpath(beside)) if is_beside else place
