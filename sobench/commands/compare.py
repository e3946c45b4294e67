"""``sobench compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sobench.commands.options import options_of_suites
from sobench.commands.output import format_names, sheet_output, write_outputs
from sobench.compare.several import check_metric
from sobench.compare.side_by_side import side_by_side
from sobench.compare.sides import Side, read_side
from sobench.errors import NothingToCompare, RequestError
from sobench.metrics.table import score_metrics, smallest_metric
from sobench.report.sheet import SHEET_FORMATS
from sobench.report.side_by_side import side_by_side_sheet
from sobench.runs.external_runs import with_external
from sobench.suite.overrides import read_request
from sobench.suite.protocols import PROTOCOLS


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@options_of_suites
@click.option(
    "--suite", type=click.Path(path_type=Path), metavar="SUITE",
    help="The suite of both, where A and B are folders of results.",
)  # fmt: skip
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), envvar="SOBENCH_RESULTS",
    show_default=True, help="Folder of all results, where A and B are suites.",
)  # fmt: skip
@click.option(
    "--results-b", type=click.Path(path_type=Path), metavar="PATH",
    help="Folder of the results of B.  [default: that of A]",
)  # fmt: skip
@click.option(
    "--metric", "metrics", metavar="A,B", default="",
    help="Metrics to show.  [default: AP and that of the smallest objects; files have all]",
)  # fmt: skip
@click.option(
    "--format", "formats", default="terminal", show_default=True, metavar="terminal|md|csv|json",
    help="One, or several with commas and --out.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write compare.FORMAT into.")
def command(
    a: Path, b: Path, suite: Path | None, results: Path,
    results_b: Path | None, metrics: str, formats: str, out: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Compare the rows that two suites, or two folders of results, both have.

    A and B are suite files, or with --suite folders of results, such as those of two versions of
    the code. Differences are B - A.
    """
    names = format_names(formats, out, list(SHEET_FORMATS), 1)
    source = click.get_current_context().get_parameter_source("results")
    given = source is ParameterSource.COMMANDLINE
    if suite is not None or a.is_dir() or b.is_dir():
        sides = _folders(a, b, suite, given or results_b is not None, options)
    else:
        sides = _suites((a, b), (results, results_b or results), options)
    asked = [name.strip() for name in metrics.split(",") if name.strip()]
    suites = [side.runs[0].suite for side in sides]
    for name in asked:
        check_metric(name, suites)
    protocol = PROTOCOLS[suites[0].protocol]
    every = [metric.name for metric in score_metrics(protocol)]
    shown = asked or list(filter(None, (every[0], smallest_metric(protocol))))
    # The differences of all metrics cost no more than those of one.
    compared = side_by_side(*sides, asked or every)
    sheet = side_by_side_sheet(compared, tuple(shown))
    write_outputs([sheet_output("compare", sheet)], names, out)


def _folders(
    a: Path, b: Path, suite: Path | None, has_results: bool, options: dict[str, Any]
) -> tuple[Side, Side]:
    """Two folders of results of one suite."""
    for path, other in ((a, b), (b, a)):
        if not path.is_dir():
            what = "no such folder" if not path.exists() else "not a folder"
            raise RequestError(
                f"{path}: {what}, and {other} is one; give two suites, or two folders of results "
                "and --suite SUITE"
            )
    if suite is None:
        raise RequestError(f"{a} and {b} are folders of results; add --suite SUITE, that of both")
    if has_results:
        raise RequestError("--results: has no effect where A and B are folders of results")
    if a.resolve() == b.resolve():
        raise RequestError(f"{a} and {b} are the same folder")
    request = read_request(suite=suite, **options)
    for folder in (a, b):
        if not (folder / request.suite.name).is_dir():
            raise NothingToCompare(
                f"{folder}: no results of suite {request.suite.name}; give a folder of all "
                f"results, in which there is a folder {request.suite.name}"
            )
    first, second = (read_side(str(x), with_external(request, x), x, True) for x in (a, b))
    return first, second


def _suites(
    files: Sequence[Path], folders: Sequence[Path], options: dict[str, Any]
) -> tuple[Side, Side]:
    """Two suites, or one whose results are in two folders."""
    plans = [
        with_external(read_request(suite=file, **options), folder)
        for file, folder in zip(files, folders, strict=True)
    ]
    is_one_folder = folders[0].resolve() == folders[1].resolve()
    if is_one_folder and plans[0] == plans[1]:
        raise RequestError(
            f"{files[0]} and {files[1]} are the same suite with the same results; give another "
            "suite, or --results-b PATH"
        )
    names = [str(file) for file in files]
    if not is_one_folder:
        names = [f"{file} in {folder}" for file, folder in zip(files, folders, strict=True)]
    a, b = (
        read_side(name, runs, folder, False)
        for name, runs, folder in zip(names, plans, folders, strict=True)
    )
    return a, b
