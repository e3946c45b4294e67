"""``sobench audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sobench.commands.options import results_option, stdout, suite_options, trust_mtime_option
from sobench.compare.audit import Audit, Data, look_at
from sobench.compare.cautions import cautions
from sobench.data.check import checked_splits
from sobench.data.load import expand_root
from sobench.errors import DataError, RequestError
from sobench.report.audit import FORMATS, print_audit
from sobench.report.hashing import shown_fingerprint
from sobench.runs.external_runs import external_runs
from sobench.runs.record import Record
from sobench.runs.state import read_states
from sobench.suite.overrides import Request, read_request


@click.command(epilog="Builds every network, without storage, which takes seconds and needs torch.")
@suite_options
@results_option
@trust_mtime_option
@click.option(
    "--format", "format_", type=click.Choice(["terminal", *FORMATS]), default="terminal",
    show_default=True, help="How to print it.",
)  # fmt: skip
def command(results: Path, trust_mtime: bool, format_: str, **options: Any) -> None:
    """Show what every row shares, what each does otherwise, and where to be careful."""
    request = read_request(**options)
    data, fingerprint, problem = None, "", None
    try:
        fingerprint = shown_fingerprint(request.suite.dataset, trust_mtime)
        splits, warnings = checked_splits(request.suite.dataset, request.limit)
        data = Data(splits["train"], splits["val"], tuple(warnings))
    except DataError as error:
        problem = error
    audit = _audit(request, results, data, fingerprint, str(problem or ""))
    if format_ == "terminal":
        print_audit(audit, stdout())
    else:
        click.echo(FORMATS[format_](audit), nl=False)
    if audit.undeclared:
        raise RequestError(
            f"{request.suite.name}: {'; '.join(audit.undeclared)}: nothing in these rows declares "
            "it; write deviations with a reason, or let the method declare it"
        )
    # Data that are elsewhere hide only a part of the audit; data that are wrong are a mistake.
    if problem is not None and _has_root(request):
        raise problem


def _has_root(request: Request) -> bool:
    """Whether the folder of the data is there."""
    spec = request.suite.dataset
    try:
        return spec.format == "synthetic" or expand_root(spec.root).is_dir()
    except DataError:
        return False


def _audit(request: Request, results: Path, data: Data | None, fingerprint: str, why: str) -> Audit:
    """The audit of a request.

    Args:
        why: the data are not at hand; empty if they are.
    """
    suite = request.suite.model_copy(update={"seeds": request.seeds or request.suite.seeds})
    runs = request.runs(fingerprint)
    unchecked = [f"coverage, sizes and the checks of the data: {why}"] if why else []
    records: dict[str, Record] = {}
    images: dict[str, int] = {}
    try:
        states = read_states(runs, results, fingerprint)
        records = {key: state.record for key, state in states.items() if state.record}
        images = next((dict(r.images) for r in records.values() if r.images), {})
    except RequestError as error:  # without the data, results on several states of them
        unchecked.append(f"results: {error}")
    if data is not None:
        images = {"train": len(data.train.images), "val": len(data.val.images)}
    if external := dict.fromkeys(r.entry.label for r in external_runs(request, results)):
        unchecked.append(f"external rows, whose training is not known: {', '.join(external)}")
    rows, num_classes = look_at(runs, suite, data, records)
    if num_classes is None:
        unchecked.append("the number of classes: parameters and GFLOPs are those of one class")
    return Audit(
        suite=suite,
        rows=rows,
        num_classes=num_classes,
        images=images,
        ignored=data.ignored if data else None,
        cautions=cautions(suite, rows, data, images),
        unchecked=tuple(unchecked),
        partial=request.partial,
    )
