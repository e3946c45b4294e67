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
from sobench.runs.state import read_states
from sobench.suite.overrides import Request, read_request


@click.command()
@suite_options
@results_option
@trust_mtime_option
@click.option(
    "--format", "format_", type=click.Choice(["terminal", *FORMATS]), default="terminal",
    show_default=True, help="How to print it.",
)  # fmt: skip
def command(results: Path, trust_mtime: bool, format_: str, **options: Any) -> None:
    """Show what every row of a suite shares, what each does otherwise, and where to be careful.

    Builds every network, without storage, and so imports torch.
    """
    request = read_request(**options)
    data, fingerprint, missing, problem = None, "", "", None
    try:
        expand_root_of(request)
    except DataError as error:
        missing = str(error)
    if not missing:
        try:
            fingerprint = shown_fingerprint(request.suite.dataset, trust_mtime)
            splits, warnings = checked_splits(request.suite.dataset, request.limit)
            data = Data(splits["train"], splits["val"], tuple(warnings))
        except DataError as error:
            problem = error
    audit = _audit(request, results, data, fingerprint, missing or str(problem or ""))
    if format_ == "terminal":
        print_audit(audit, stdout())
    else:
        click.echo(FORMATS[format_](audit), nl=False)
    if audit.undeclared:
        raise RequestError("undeclared differences: " + "; ".join(audit.undeclared))
    if problem is not None:
        raise problem


def expand_root_of(request: Request) -> None:
    """Raises ``DataError`` if the folder of the data is not there."""
    if request.suite.dataset.format != "synthetic":
        expand_root(request.suite.dataset.root)


def _audit(request: Request, results: Path, data: Data | None, fingerprint: str, why: str) -> Audit:
    suite = request.suite
    runs = request.runs(fingerprint)
    states = read_states(runs, results)
    records = {key: state.record for key, state in states.items() if state.record}
    rows, num_classes = look_at(runs, suite, data, records)
    images = {}
    if data:
        images = {"train": len(data.train.images), "val": len(data.val.images)}
    else:
        images = next((dict(record.images) for record in records.values() if record.images), {})
    unchecked = (f"coverage, sizes and the checks of the data: {why}",) if why else ()
    return Audit(
        suite, rows, num_classes, images, cautions(suite, rows, data, images), unchecked,
        request.partial,
    )  # fmt: skip
