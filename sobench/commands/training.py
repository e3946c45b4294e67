"""The trainings that several commands begin with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sobench.commands.options import stderr
from sobench.report.progress import MatrixProgress
from sobench.report.spread import SpreadProgress
from sobench.runs.record import Record
from sobench.runs.search import changed_data
from sobench.runs.state import RunState, state_of
from sobench.suite.plan import Run
from sobench.suite.shared_batches import check_batches, sharing_notes

if TYPE_CHECKING:
    import torch

    from sobench.runs.forecast import Forecast
    from sobench.runs.spread.matrix import Engine


def train_missing(
    runs: Sequence[Run],
    results: Path,
    device: str | None,
    checkpoint_seconds: float,
    latency: bool = False,
    processes: int = 1,
) -> tuple[list[Record], dict[str, RunState]]:
    """Train and score what is missing, with progress on stderr.

    Args:
        device: instead of the suite's.
        latency: measure the latencies that finished runs lack.
        processes: that share each training.

    Returns:
        The records, also of runs that these require, and the states of ``runs``. States are made
        from the records, so that no file need be read again.
    """
    check_batches(runs, processes)
    # torch takes seconds to import: a wrong suite or missing data are reported before that.
    from sobench.runs.latency import measure_latencies
    from sobench.runs.matrix import run_matrix
    from sobench.runs.processes import check_processes

    # What methods of other packages print must not get among the results.
    with MatrixProgress(stderr()) as progress, redirect_stdout(sys.stderr):
        chosen = _device(runs, device, progress.warn)
        for line in changed_data(runs, results):
            progress.warn(line)
        check_processes(chosen, processes)
        for line in sharing_notes(runs, processes):
            progress.warn(line)
        outcomes = list(run_matrix(runs, results, chosen, progress, checkpoint_seconds, processes))
        if latency:
            outcomes = measure_latencies(runs, results, chosen, outcomes, progress)
    by_id = {outcome.settings_id: outcome for outcome in outcomes}
    return outcomes, {run.settings_id: state_of(run, by_id[run.settings_id]) for run in runs}


@dataclass(frozen=True)
class Spread:
    """Who does the runs of a plan in place of this process.

    Attributes:
        engine: ``ray`` or ``slurm``.
        address: of a cluster; see ``--address``.
        gpus: that a run takes, each with a process; on a CPU, the number of its processes.
        parameters: of Slurm's jobs.
    """

    engine: str
    address: str | None
    gpus: int
    parameters: Mapping[str, str]


def train_spread(
    runs: Sequence[Run],
    results: Path,
    device: str | None,
    checkpoint_seconds: float,
    spread: Spread,
) -> tuple[list[Record], dict[str, RunState]]:
    """As ``train_missing``, by workers elsewhere."""
    check_batches(runs, spread.gpus)
    import torch

    from sobench.runs.failures import failure
    from sobench.runs.spread.matrix import Settings, spread_matrix

    with SpreadProgress(stderr()) as progress, redirect_stdout(sys.stderr):
        for line in [*changed_data(runs, results), *sharing_notes(runs, spread.gpus)]:
            progress.warn(line)
        name = device or runs[0].suite.device
        engine = _engine(spread, results, needs_gpu=name != "cpu")
        here = torch.device("cpu")  # of runs that left no record, nothing else is known
        try:
            settings = Settings(results, name, checkpoint_seconds, spread.gpus)
            records = spread_matrix(runs, settings, engine, partial(failure, device=here), progress)
            outcomes = list(records)
        finally:
            engine.close()
    by_id = {outcome.settings_id: outcome for outcome in outcomes}
    return outcomes, {run.settings_id: state_of(run, by_id[run.settings_id]) for run in runs}


def _engine(spread: Spread, results: Path, needs_gpu: bool) -> Engine:
    """The workers; those that need no GPU ask for none."""
    gpus = spread.gpus if needs_gpu else 0
    if spread.engine == "ray":
        from sobench.runs.spread.ray import RayEngine

        return RayEngine(spread.address, gpus)
    from sobench.runs.spread.slurm import SlurmEngine

    return SlurmEngine(results.absolute() / ".slurm", spread.address, gpus, spread.parameters)


def foresee(runs: Sequence[Run], results: Path, device: str | None) -> Forecast:
    """What ``train_missing`` would do and what it would cost, with progress on stderr."""
    from sobench.runs.forecast import forecast

    console = stderr()

    def warn(text: str) -> None:
        console.print(f"warning: {text}", soft_wrap=True)

    with redirect_stdout(sys.stderr):
        chosen = _device(runs, device, warn)
        for line in changed_data(runs, results):
            warn(line)
        return forecast(
            runs, results, chosen, warn,
            lambda label: console.print(f"timing a few steps of {label}"),
        )  # fmt: skip


def _device(runs: Sequence[Run], device: str | None, warn: Callable[[str], None]) -> torch.device:
    """The device that a suite's runs compute on, if it can do what they ask for."""
    from sobench.device import check_bf16, choose_device

    chosen = choose_device(device or runs[0].suite.device)
    if widths := [r.suite.input.size[1] for r in runs if r.suite.precision == "bf16"]:
        check_bf16(min(widths), chosen, warn)
    return chosen
