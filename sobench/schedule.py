"""The runs of a plan, one after the other: skip what is done, resume what is half done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import torch

from sobench import record
from sobench.evaluate import can_evaluate, is_evaluated
from sobench.execute import Watcher, execute, rescore
from sobench.models.build import check_detector, check_fits
from sobench.network import at_size, has_weights
from sobench.plan import Run, with_required
from sobench.record import Record


class MatrixWatcher(Watcher, Protocol):
    """Who wants to know how a matrix is getting on."""

    def begin(self, run: Run, number: int, total: int) -> None:
        """A run begins or is picked up; ``number`` counts from 1."""

    def end(self, run: Run, outcome: Record, fresh: bool) -> None:
        """A run is done; ``fresh`` is false if it had been done before."""


def run_matrix(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    watch: MatrixWatcher,
    checkpoint_seconds: float = 60.0,
) -> Iterator[Record]:
    """The record of every run, and of what they require, which comes before them.

    What is done is not done again; only its scores are brought up to the suite's protocol. A run
    that diverged would do so again, so it stays as it is until its folder is deleted; one that
    failed for another reason is tried again. What a run requires is not asked for if the run itself
    is done.

    Raises:
        RequestError: a row that is to be trained cannot be built; before any other is.
    """
    due = with_required(runs, lambda run: _to_do(run, results) == "train")
    training = [run for run in due if _to_do(run, results) == "train"]
    for run in {run.entry.label: run for run in training}.values():
        _check(run)
    built_on = {required.id for run in training for _, required in run.requires}
    for number, run in enumerate(due, 1):
        watch.begin(run, number, len(due))
        before, to_do = record.read(run.folder(results)), _to_do(run, results)
        if run.id in built_on and not has_weights(run, results):
            to_do = "train"
        if to_do == "train" or before is None:
            outcome = execute(run, results, device, watch, checkpoint_seconds)
        elif to_do == "score":
            outcome = rescore(run, results, before, device, watch)
        else:
            outcome = before
        watch.end(run, outcome, fresh=outcome is not before)
        yield outcome


def _check(run: Run) -> None:
    """Try a row without data, at every input size that it will see."""
    check_detector(run.suite, run.entry)
    for size in run.suite.eval_sizes:
        resized = at_size(run, size).suite
        check_detector(resized, run.entry)
        check_fits(resized, run.entry, run.suite, run.entry, f"eval_sizes: {list(size)}")
    for role, origin in run.requires:
        if role == "init_from":
            check_fits(
                run.suite,
                run.entry,
                origin.suite,
                origin.entry,
                f"init_from: {run.entry.init_from}",
            )


def _to_do(run: Run, results: Path) -> Literal["train", "score", "nothing"]:
    """What a run still needs."""
    before = record.read(run.folder(results))
    if before and (before.status == "diverged" or is_evaluated(run, before)):
        return "nothing"
    return "score" if before and before.scored and can_evaluate(run, results) else "train"
