"""``sobench score``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.text import Text

from sobench.commands.options import results_option, stderr, trust_mtime_option
from sobench.commands.output import (
    Output,
    format_names,
    leaderboard_output,
    sheet_output,
    write_outputs,
)
from sobench.compare.leaderboard import leaderboard
from sobench.compare.remarks import purpose
from sobench.data.dataset import Dataset
from sobench.data.truth import read_truth
from sobench.errors import DataError, RequestError, did_you_mean
from sobench.garbage import no_garbage_collection
from sobench.metrics.foreign import LAYOUTS, read_foreign
from sobench.metrics.foreign.table import ForeignDetections, to_detections
from sobench.metrics.scoring import score
from sobench.report.hashing import shown_fingerprint
from sobench.report.scores import scores_sheet
from sobench.report.tables import FORMATS
from sobench.runs.external import digest_of, store
from sobench.runs.external_runs import with_external
from sobench.runs.record import Source
from sobench.runs.splits import check_data_unchanged, load_split
from sobench.suite.external import external_run
from sobench.suite.overrides import read_request
from sobench.suite.protocols import PROTOCOLS, Protocol
from sobench.text import plain, quoted

_MAX_SEED = 2**31 - 1

_OF_A_SUITE = (
    "label", "seed", "replace", "settings", "limit", "smoke", "results", "trust_mtime",
)  # fmt: skip
"""Parameters that have no effect without a suite."""


@click.command()
@click.argument("detections", type=click.Path(path_type=Path))
@click.option(
    "--suite", type=click.Path(path_type=Path), metavar="SUITE",
    help="Score against its val images under its protocol, and enter a row into its leaderboard.",
)  # fmt: skip
@click.option("--label", metavar="NAME", help="Name of the row; no row of the suite has it.")
@click.option(
    "--seed", type=click.IntRange(min=0, max=_MAX_SEED), default=0, show_default=True,
    help="Which training of that detector it is.",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="Give up other detections of this label and seed.")
@click.option(
    "--truth", type=click.Path(path_type=Path), metavar="PATH",
    help="Instead of a suite: a COCO annotation file, or the folder of a data set. "
    "Prints the metrics and stores nothing.",
)  # fmt: skip
@click.option("--protocol", metavar="NAME", help="The protocol with --truth.  [default: coco]")
@click.option(
    "--layout", metavar="|".join(LAYOUTS), default="",
    help="Layout of the detections.  [default: recognised from the files]",
)  # fmt: skip
@click.option(
    "--allow-empty", is_flag=True, help="Score files without a single detection; AP is then 0."
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="Override a key of the suite, such as dataset.root=/data.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(min=1), help="Only the first N val images of the suite."
)
@click.option(
    "--smoke", type=click.IntRange(min=1), metavar="N", help="Only the images of a run --smoke N."
)
@results_option
@trust_mtime_option
@click.option(
    "--format", "formats", default="terminal", show_default=True, metavar="terminal|md|csv|json",
    help="One, or several with commas and --out.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write the formats into.")
@no_garbage_collection()
def command(
    detections: Path, suite: Path | None, truth: Path | None, protocol: str | None, layout: str,
    allow_empty: bool, formats: str, out: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Score detections that another tool has made, such as Ultralytics or MMDetection.

    DETECTIONS is a file of COCO result rows or a CSV table, or a folder of text files. With --suite
    they become a row of its leaderboard, marked external.
    """
    names = format_names(formats, out, list(FORMATS), 1)
    if suite is not None and truth is None and protocol is None:
        output = _entered(detections, layout, allow_empty, suite, **options)
    elif suite is None and truth is not None:
        _check_unused()
        output = _printed(detections, layout, allow_empty, truth, protocol or "coco")
    elif protocol is not None and suite is not None:
        raise RequestError("--protocol: the suite has one; write --set protocol=NAME")
    else:
        raise RequestError(
            "give --suite SUITE and --label NAME, to enter the detections into a leaderboard, or "
            "--truth PATH, to print their metrics"
        )
    write_outputs([output], names, out)


def _printed(
    detections: Path, layout: str, allow_empty: bool, truth: Path, protocol: str
) -> Output:
    """The metrics of detections; nothing is stored."""
    if protocol not in PROTOCOLS:
        raise RequestError(
            f"--protocol: unknown {quoted(protocol)};{did_you_mean(protocol, PROTOCOLS)}"
        )
    chosen = PROTOCOLS[protocol]
    data, dataset = read_truth(truth)
    _, made = _read(detections, layout, allow_empty, dataset, chosen)
    scores = score(dataset, made.table, chosen)
    title = f"{plain(detections.name)} against {dataset.title}"
    return sheet_output(
        "scores", scores_sheet(title, scores, (*made.notes, *purpose(chosen, data)))
    )


def _entered(
    detections: Path, layout: str, allow_empty: bool, suite: Path, *, results: Path,
    trust_mtime: bool, label: str | None, seed: int, replace: bool, **options: Any,
) -> Output:  # fmt: skip
    """The leaderboard of a suite, with detections that are entered into it."""
    if label is None:
        raise RequestError("--label: give the name of the row, such as --label yolo11n")
    request = read_request(suite=suite, **options)
    external_run(request, label, seed, "")  # a wrong label is told at once
    run = external_run(request, label, seed, shown_fingerprint(request.suite.dataset, trust_mtime))
    dataset, protocol = load_split(run, "val"), PROTOCOLS[run.suite.protocol]
    check_data_unchanged(run)
    name, made = _read(detections, layout, allow_empty, dataset, protocol)
    source = Source(name=plain(detections.name), layout=name, sha256=digest_of(detections))
    store(run, results, dataset, made.table, source, replace)
    for note in made.notes:
        stderr().print(Text(f"note: {note}"), soft_wrap=True)
    board = leaderboard(with_external(request, results, run.data), results)
    return leaderboard_output(request.suite.name, board)


def _read(
    path: Path, layout: str, allow_empty: bool, dataset: Dataset, protocol: Protocol
) -> tuple[str, ForeignDetections]:
    """The layout of detections, and what they are on the images of a data set."""
    name, rows = read_foreign(path, layout)
    if not len(rows) and not allow_empty:
        raise DataError(
            f"{path}: holds no detections; check that the detector wrote them there, or add "
            "--allow-empty if it found nothing, which scores 0"
        )
    return name, to_detections(rows, dataset, protocol)


def _check_unused() -> None:
    """Refuse options that have no effect with ``--truth``."""
    context = click.get_current_context()
    for parameter in context.command.params:
        is_given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in _OF_A_SUITE and is_given:
            raise RequestError(
                f"{parameter.opts[0]}: has no effect with --truth, which stores nothing; leave it "
                "out, or give --suite"
            )
