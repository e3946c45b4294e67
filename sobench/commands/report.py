"""``sobench report``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sobench.commands.options import gathered_option, options_of_suites, stderr
from sobench.commands.output import (
    Output,
    format_names,
    is_page,
    sheet_output,
    write_outputs,
)
from sobench.commands.suites import check_distinct, states_of_data, stem_of
from sobench.commands.view import view_of, view_options
from sobench.compare.leaderboard import Leaderboard, leaderboard
from sobench.compare.several import Several, check_metric, common_rows, rank_suites
from sobench.errors import NothingToCompare, RequestError, did_you_mean
from sobench.garbage import no_garbage_collection
from sobench.report.average_rank import average_rank_sheet
from sobench.report.columns import shown_columns
from sobench.report.leaderboard import print_leaderboard
from sobench.report.order import ordered_by
from sobench.report.tables import FORMATS
from sobench.report.terminal import print_warning
from sobench.report.view import View
from sobench.runs.external_runs import with_external
from sobench.runs.gathered import Results
from sobench.runs.search import choose_data, search
from sobench.suite.overrides import read_request
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.sections import Suite
from sobench.text import quoted

if TYPE_CHECKING:
    from sobench.compare.page_data import PageData

# What only one option or format needs is imported where it is used: a table is printed in less time
# than the rest takes to load.
PLOT_FORMATS = ("png", "svg", "pdf")

Page = Callable[[], "PageData"]


@click.command()
@click.argument(
    "suites", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SUITE..."
)
@options_of_suites
@gathered_option
@click.option(
    "--format", "formats", default="terminal", show_default=True,
    metavar="|".join(("terminal", *FORMATS, "html", *PLOT_FORMATS)),
    help="One, or several with commas and --out: html is one page with everything, png, svg and "
    "pdf are plots.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder to write SUITE.FORMAT into, or the file of a page, such as page.html.",
)  # fmt: skip
@click.option(
    "--data", metavar="FINGERPRINT", default="",
    help="The state of the data, if there are results on several; its first digits are enough. "
    "Of several suites, one for each that needs it, with commas.",
)  # fmt: skip
@click.option(
    "--metric", "metrics", metavar="A,B", default="",
    help="By what several suites rank their common rows, such as AP,AP_S.  [default: AP]",
)  # fmt: skip
@click.option(
    "--found", is_flag=True,
    help="Instead, for each pair of rows, the objects that both find, one finds, or neither.",
)  # fmt: skip
@click.option(
    "--published", is_flag=True,
    help="Also the tables of papers that fit the suite, apart, with what differs from it.",
)  # fmt: skip
@click.option(
    "--protocol", "protocols", metavar="A,B", default="",
    help="Also the leaderboards by these protocols, computed from the stored detections and the "
    "data, and kept apart.",
)  # fmt: skip
@view_options
@no_garbage_collection()
def command(
    suites: tuple[Path, ...], results: Results, formats: str, out: Path | None, data: str,
    metrics: str, found: bool, published: bool, sort: str, columns: str, per_class: bool, by: str,
    wide: bool, protocols: str, **options: Any,
) -> None:  # fmt: skip
    """Print the leaderboard of a suite from the results so far.

    Of several suites, print each leaderboard, and the average ranks of the rows that all have.
    """
    known = [*FORMATS, "html", *PLOT_FORMATS]
    asked = list(dict.fromkeys(name.strip() for name in protocols.split(",") if name.strip()))
    names = format_names(formats, out, known, len(suites) + published + len(asked))
    given = {"--found": found, "--published": published, "--protocol": asked}
    _check_drawn(names, out, next((option for option, value in given.items() if value), ""))
    _check_metric_counts(len(suites), metrics, found)
    view = view_of(sort, columns, per_class, by, wide)
    _check_view(view, "with --found" if found else _drawn_alone(names))
    if published and (found or len(suites) > 1):
        way_out = "leave --found out" if found else "report the suites one by one"
        raise RequestError(f"--published: is for the leaderboard of one suite; {way_out}")
    requests = [read_request(suite=suite, **options) for suite in suites]
    if asked:
        _check_protocols(asked, [request.suite for request in requests], found)
    check_distinct(suites, requests)
    plans = [with_external(request, results) for request in requests]
    states = states_of_data(plans, results, data)
    stems = [
        stem_of(request.suite.name, request, options["settings"], state)
        for request, state in zip(requests, states, strict=True)
    ]
    if found:
        outputs = [
            _found(*of_suite, results) for of_suite in zip(stems, plans, states, strict=True)
        ]
    elif published:
        outputs = _with_published(requests[0].suite, plans[0], results, data, stems[0], view)
    elif len(plans) == 1:
        board = leaderboard(plans[0], results, data)
        page = _page(board, plans[0], results, data)
        outputs = [_output(stems[0], board, page, view), _page_output(stems[0], [page])]
    else:
        by_metrics = [name.strip() for name in metrics.split(",") if name.strip()]
        stem = stem_of(
            "average_rank", requests[0], options["settings"], ".".join(filter(None, states))
        )
        outputs = _together(plans, results, states, by_metrics, (*stems, stem), view)
    outputs += [_by_protocol(name, plans[0], results, data, stems[0], view) for name in asked]
    write_outputs(outputs, names, out)


def _check_protocols(names: Sequence[str], suites: Sequence[Suite], found: bool) -> None:
    """Refuse ``--protocol`` with names that are not protocols, and where it has no effect."""
    if found or len(suites) > 1:
        way_out = "leave --found out" if found else "report the suites one by one"
        raise RequestError(f"--protocol: is for the leaderboard of one suite; {way_out}")
    for name in names:
        if name not in PROTOCOLS:
            raise RequestError(
                f"--protocol: {quoted(name)} is not a protocol;{did_you_mean(name, PROTOCOLS)}"
            )
        if name == suites[0].protocol:
            raise RequestError(
                f"--protocol: {name} is the protocol of {suites[0].name}, whose table comes "
                "anyway; leave it out"
            )


def _by_protocol(
    name: str, runs: Sequence[Run], results: Results, data: str, stem: str, view: View
) -> Output:
    """The leaderboard of the same detections by another protocol than the suite's."""
    from sobench.runs.rescored import rescore_apart, with_protocol

    state = runs[0].data or choose_data(search(runs, results), data).data
    scored = [with_protocol(run, name) for run in runs]
    apart = rescore_apart(scored, results, state, partial(print_warning, stderr()))
    board = leaderboard(scored, apart, state)
    board = replace(board, title=f"{board.title}, by {name}")
    return _output(f"{stem}.{name}", board, _page(board, scored, apart, state), view)


def _found(stem: str, runs: Sequence[Run], state: str, results: Results) -> Output:
    """Who finds what, of one suite."""
    from sobench.compare.found import found_in
    from sobench.report.found import found_sheet

    return sheet_output(f"{stem}.found", found_sheet(found_in(runs, results, state)))


def _with_published(
    suite: Suite, runs: Sequence[Run], results: Results, data: str, stem: str, view: View
) -> list[Output]:
    """The leaderboard, if there are results, and the published tables, if any are on the data."""
    from sobench.compare.published import FOLDER, read_papers
    from sobench.compare.published_fit import published_for
    from sobench.report.published import published_sheet

    papers = read_papers()
    if not papers:
        raise RequestError(
            f"--published: {FOLDER}: no tables there; that folder of sobench's repository "
            "has them: copy it to the working folder"
        )
    tables, outputs, board, note = published_for(suite, papers), [], None, ""
    try:
        board = leaderboard(runs, results, data)
        outputs.append(_output(stem, board, _page(board, runs, results, data), view))
    except NothingToCompare as error:
        if not tables:
            raise
        note = f"nothing is measured yet: {str(error).splitlines()[0]}"
    sheet = published_sheet(suite, tables, board, note)
    return [*outputs, sheet_output(f"{stem}.published", sheet)]


def _together(
    plans: Sequence[Sequence[Run]],
    results: Results,
    states: Sequence[str],
    metrics: Sequence[str],
    stems: Sequence[str],
    view: View,
) -> list[Output]:
    """The leaderboard of each suite, and their average ranks; ``stems`` are of both."""
    # What is wrong with the request is told before anything is missing.
    common_rows(plans)
    for name in metrics:
        check_metric(name, [runs[0].suite for runs in plans])
    boards = [leaderboard(runs, results, state) for runs, state in zip(plans, states, strict=True)]
    pages = [
        _page(board, runs, results, state)
        for board, runs, state in zip(boards, plans, states, strict=True)
    ]
    several = rank_suites(plans, boards, metrics)
    *of_suites, of_ranks = stems
    return [
        *(_output(*of_suite, view) for of_suite in zip(of_suites, boards, pages, strict=True)),
        sheet_output(of_ranks, average_rank_sheet(several)),
        _page_output(of_ranks, pages, several),
    ]


def _output(stem: str, board: Leaderboard, page: Page, view: View) -> Output:
    """The leaderboard of a suite in all forms, and its plots.

    Raises:
        RequestError: a column that the view asks for is unknown.
    """
    if view.sort:
        board = ordered_by(board, view.sort)
    shown_columns(board, view)
    stem = f"{stem}.seeds" if view.by_seed else stem

    def form(render: Callable[[Leaderboard, View], str]) -> Callable[[], str]:
        return lambda: render(board, view)

    forms = {name: (suffix, form(render)) for name, (suffix, render) in FORMATS.items()}
    pictures = {name: partial(_plots, page, name) for name in PLOT_FORMATS}
    show = partial(print_leaderboard, board, view=view)
    return Output(stem, show, forms, pictures)


def _plots(page: Page, name: str) -> Mapping[str, bytes]:
    """The plots of a suite in one format, by what follows the stem."""
    from sobench.report.plots import plots_of

    return plots_of(page(), name)


def _page_output(stem: str, pages: Sequence[Page], several: Several | None = None) -> Output:
    """One page about all suites."""

    def text() -> str:
        from sobench.report.html.page import render

        return render([page() for page in pages], several)

    return Output(stem, None, {"html": ("html", text)})


def _page(board: Leaderboard, runs: Sequence[Run], results: Results, state: str) -> Page:
    """What a page and plots show, gathered once and only if it is asked for."""

    def gathered() -> PageData:
        from sobench.compare.page_data import page_data

        return page_data(board, runs, results, state)

    return cache(gathered)


def _drawn_alone(names: Sequence[str]) -> str:
    """``on html`` where nothing but pages and plots is asked for; otherwise empty."""
    return "" if {*names} - {"html", *PLOT_FORMATS} else f"on {', '.join(names)}"


def _check_view(view: View, where: str) -> None:
    """Refuse what changes a table alone where there is none; ``where`` is empty if there is."""
    if where and view != View():
        raise RequestError(
            f"--sort, --columns, --per-class, --by, --wide: have no effect {where}; leave them out"
        )


def _check_drawn(names: Sequence[str], out: Path | None, option: str) -> None:
    """Refuse pages and plots where they cannot be had."""
    drawn = [name for name in names if name in ("html", *PLOT_FORMATS)]
    if drawn and option:
        raise RequestError(f"{option}: has no effect on {drawn[0]}; leave it out")
    if is_page(out) and names != ["html"]:
        raise RequestError(f"--out {out}: the file of a page; with other formats name a folder")
    if out is None and (pictures := [name for name in drawn if name != "html"]):
        raise RequestError(f"--format {pictures[0]}: plots are files; add --out FOLDER")


def _check_metric_counts(suites: int, metrics: str, found: bool) -> None:
    """Refuse ``--metric`` where it would have no effect."""
    if metrics and (suites == 1 or found):
        why = "with --found" if found else "of one suite"
        raise RequestError(f"--metric: has no effect on a report {why}; leave it out")
