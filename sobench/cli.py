"""The command line: parses, calls, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import yaml

import sobench
from sobench.errors import NothingToCompare, RequestError, SobenchError, did_you_mean

if TYPE_CHECKING:
    from sobench.suite.plan import Run
    from sobench.suite.sections import Suite

Command = TypeVar("Command", bound=Callable[..., Any])

INTERRUPTED = 130


@dataclass(frozen=True)
class Request:
    """What a command line asks for: a suite with overrides laid over, and the part of it."""

    path: Path
    suite: Suite
    limit: int | None
    partial: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]

    def runs(self, data: str) -> list[Run]:
        """The runs of the request on a dataset of this fingerprint."""
        from sobench.suite.plan import plan

        return plan(self.suite, data, self.limit, self.partial, self.methods, self.seeds)


def _suite_options(command: Command) -> Command:
    options = [
        click.argument("suite", type=click.Path(path_type=Path)),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE",
            help="Override a key of the suite, such as schedule.lr=0.02.",
        ),
        click.option(
            "--epochs", type=click.IntRange(min=1), help="Train for so many; milestones scale."
        ),
        click.option(
            "--limit", type=click.IntRange(min=1), help="Use the first N images of each split."
        ),
        click.option("--methods", metavar="A,B", default="", help="Only these rows."),
        click.option("--seeds", metavar="0,1", default="", help="These seeds, not the suite's."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


_results = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), envvar="SOBENCH_RESULTS",
    show_default=True, help="Folder of all results.",
)  # fmt: skip


def _request(
    suite: Path,
    settings: Sequence[str],
    epochs: int | None,
    limit: int | None,
    methods: str,
    seeds: str,
) -> Request:
    from sobench.suite.plan import plan
    from sobench.suite.reader import load

    overrides = dict(_setting(text) for text in settings)
    plain = load(suite)
    if epochs is not None:
        shrink = epochs / plain.schedule.epochs
        overrides["schedule.epochs"] = epochs
        scaled = [m * shrink for m in plain.schedule.milestones]
        overrides.setdefault("schedule.milestones", scaled)
    changed = load(suite, overrides) if overrides else plain
    asked = [f"--set {text}" for text in settings]
    asked += [f"--epochs {epochs}"] if epochs is not None else []
    asked += [f"--limit {limit}"] if limit is not None else []
    # An override that changes no result, such as the data's folder, leaves the result whole.
    whole = limit is None
    if overrides:
        try:
            same = {r.settings_id for r in plan(plain, "", seeds=changed.seeds)}
        except RequestError:  # the suite needs the override, to run at all
            same = set()
        whole = whole and all(r.settings_id in same for r in plan(changed, ""))
    return Request(
        suite,
        changed,
        limit,
        () if whole else tuple(asked),
        tuple(name.strip() for name in methods.split(",") if name.strip()),
        tuple(_seed(text) for text in seeds.split(",") if text.strip()),
    )


def _setting(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise RequestError(f"--set {text}: write KEY=VALUE, such as schedule.lr=0.02")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise RequestError(f"--set {text}: the value is no YAML; quote it") from None


def _seed(text: str) -> int:
    if not text.strip().isdecimal():
        raise RequestError(f"--seeds: {text!r} is no seed; write numbers, such as 0,1,2")
    return int(text)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(sobench.__version__, prog_name="sobench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Compare small-object detectors under uniform conditions."""
    del debug  # read by main(), which also catches what goes wrong before a command runs


@cli.command()
@_suite_options
@_results
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Instead of the suite's."
)
@click.option(
    "--checkpoint-seconds", type=click.FloatRange(min=0), default=60.0, show_default=True,
    help="Time between two checkpoints; every epoch also ends with one.",
)  # fmt: skip
@click.pass_context
def run(
    context: click.Context,
    /,
    results: Path,
    device: str | None,
    checkpoint_seconds: float,
    **suite: Any,
) -> None:
    """Train and score what is missing, then print the leaderboard."""
    request = _request(**suite)
    from sobench.data.fingerprint import fingerprint

    runs = request.runs(fingerprint(request.suite.dataset))
    from rich.console import Console

    from sobench.compare import leaderboard
    from sobench.report.progress import MatrixProgress
    from sobench.report.terminal import print_leaderboard
    from sobench.runs.execute import choose_device, warn_of_precision
    from sobench.runs.matrix import run_matrix

    chosen = choose_device(device or request.suite.device)
    with MatrixProgress(Console(stderr=True)) as progress:
        warn_of_precision(request.suite.precision, chosen, progress.warn)
        outcomes = list(run_matrix(runs, results, chosen, progress, checkpoint_seconds))
    bad = [outcome for outcome in outcomes if outcome.status in ("failed", "diverged")]
    rows = {planned.id for planned in runs}
    if any(outcome.scored and outcome.run_id in rows for outcome in outcomes):
        print_leaderboard(leaderboard.build(runs, outcomes), _stdout())
    context.exit(1 if bad else 0)


@cli.command()
@_suite_options
@_results
def plan(results: Path, **suite: Any) -> None:
    """Show the runs of a suite and how far each has come."""
    request = _request(**suite)
    from sobench.data.fingerprint import fingerprint
    from sobench.errors import DataError
    from sobench.report.terminal import print_table
    from sobench.runs import record
    from sobench.suite.plan import with_required

    problem: DataError | None = None
    data = ""
    try:
        data = fingerprint(request.suite.dataset)
    except DataError as error:
        problem = error
    due = with_required(request.runs(data))
    number = {planned.settings_id: str(n) for n, planned in enumerate(due, 1)}
    rows = [
        [
            number[planned.settings_id],
            planned.entry.label,
            str(planned.seed),
            record.state(planned, results) if data else "no data",
            planned.id if data else "-",
            ", ".join(f"{role} {number[r.settings_id]}" for role, r in planned.requires) or "-",
            str(len(planned.deviations)),
        ]
        for planned in due
    ]
    console = _stdout()
    title = f"{request.suite.title or request.suite.name}: {len(rows)} runs"
    headings = ["#", "method", "seed", "state", "run", "requires", "deviations"]
    print_table(console, headings, rows, title)
    for reason in request.partial:
        console.print(f"partial: {reason}", style="dim", markup=False, highlight=False)
    if problem is not None:
        raise problem


@cli.command()
@_suite_options
@_results
@click.option(
    "--format", "formats", default="terminal", show_default=True, metavar="terminal|md|csv|json",
    help="One, or several with commas and --out.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write SUITE.FORMAT into.")
def report(results: Path, formats: str, out: Path | None, **suite: Any) -> None:
    """Print the leaderboard of a suite from the results so far."""
    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    known = ["terminal", "md", "csv", "json"]
    for name in wanted:
        if name not in known:
            raise RequestError(f"--format: unknown {name!r};{did_you_mean(name, known)}")
    if not wanted:
        raise RequestError(f"--format: names none; known: {', '.join(known)}")
    if len(wanted) > 1 and out is None:
        raise RequestError("--format: several formats need --out FOLDER")
    request = _request(**suite)
    from sobench.compare import leaderboard
    from sobench.report.tables import FORMATS
    from sobench.report.terminal import print_leaderboard

    runs = request.runs("")
    board = leaderboard.build(runs, leaderboard.collect(runs, results))
    for name in wanted:
        if name == "terminal":
            print_leaderboard(board, _stdout())
            continue
        suffix, render = FORMATS[name]
        if out is None:
            click.echo(render(board), nl=False)
        else:
            from sobench.files import write_atomic

            path = out / f"{request.suite.name}.{suffix}"
            write_atomic(path, render(board).encode())
            click.echo(path)


@cli.command()
@_suite_options
@click.option("--no-cache", is_flag=True, help="Check the annotations only; decode no image.")
def data(no_cache: bool, **suite: Any) -> None:
    """Verify a dataset, show what is in it, and build its image cache."""
    request = _request(**suite)
    from sobench.report.dataset import print_dataset

    print_dataset(request.suite, request.limit, _stdout(), build_cache=not no_cache)


@cli.command(name="list")
@click.argument("what", type=click.Choice(["methods", "heads", "datasets", "protocols", "suites"]))
def list_(what: str) -> None:
    """Show what exists: methods, heads, datasets, protocols or suites."""
    from sobench.report.listing import print_list

    print_list(what, _stdout())


@cli.command()
def doctor() -> None:
    """Say what this machine can do, what is missing, and what to do about it."""
    from sobench.report.doctor import print_findings

    print_findings(_stdout())


def _stdout() -> Any:
    from rich.console import Console

    # Without a terminal a table must not be squeezed into 80 columns.
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 200
    return Console(width=width, emoji=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: errors are one or two lines on stderr."""
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    try:
        code = cli.main(arguments, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(RequestError.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(RequestError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on from the last checkpoint", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except SobenchError as error:
        kind = "nothing to show" if isinstance(error, NothingToCompare) else "error"
        _fail(f"{kind}: {error}", error.exit_code, debug)
    except OSError as error:
        # A results folder that cannot be written, a full disk.
        if error.filename is None or error.strerror is None:
            raise
        _fail(f"error: {error.filename}: {error.strerror}", RequestError.exit_code, debug)


def _fail(message: str, code: int, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    click.echo(message, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
