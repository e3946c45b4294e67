"""The runs of a plan, one after the other: skip what is done, resume what is half done."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from sobench.models.check import check_detector, check_fits
from sobench.runs import record
from sobench.runs.evaluate import can_evaluate, is_evaluated, lacking_sizes
from sobench.runs.execute import ProgressCallback, execute, rescore
from sobench.runs.record import Record
from sobench.runs.weights import has_weights, with_input_size
from sobench.suite.plan import Run, with_required

Before = Mapping[str, Record | None]
"""What was known of each run when the matrix began, by id."""


class MatrixProgressCallback(ProgressCallback, Protocol):
    """Who wants to know how a matrix is getting on."""

    def begin(self, run: Run, number: int, total: int) -> None:
        """A run begins or is picked up; ``number`` counts from 1."""

    def end(self, run: Run, outcome: Record, fresh: bool) -> None:
        """A run is done; ``fresh`` is false if it had been done before."""


def run_matrix(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    watch: MatrixProgressCallback,
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
    before = {r.id: record.read(r.folder(results)) for r in with_required(runs)}
    training = _trainings(runs, before, results)
    due = with_required(runs, lambda run: run.id in training)
    _check(due, before, training)
    for number, run in enumerate(due, 1):
        watch.begin(run, number, len(due))
        old = before[run.id]
        if run.id in training or old is None:
            outcome = execute(run, results, device, watch, checkpoint_seconds)
        elif _is_done(run, old):
            outcome = old
        else:
            outcome = rescore(run, results, old, device, watch)
        watch.end(run, outcome, fresh=outcome is not old)
        yield outcome


def _is_done(run: Run, outcome: Record) -> bool:
    """Whether nothing is left to do: what diverged would do so again."""
    return outcome.status == "diverged" or is_evaluated(run, outcome)


def _trainings(runs: Sequence[Run], before: Before, results: Path) -> set[str]:
    """Ids of the runs to be trained: what is not done, and what it needs the weights of."""
    found: set[str] = set()

    def visit(run: Run, needed: bool) -> None:
        if run.id not in found and _is_to_train(run, before[run.id], needed, results):
            found.add(run.id)
            for _, required in run.requires:
                visit(required, needed=True)

    for run in runs:
        visit(run, needed=False)
    return found


def _is_to_train(run: Run, old: Record | None, needed: bool, results: Path) -> bool:
    if old is None or old.scored is None:
        return old is None or not _is_done(run, old)
    if needed and not has_weights(run, results, old):
        return True
    return not (_is_done(run, old) or can_evaluate(run, results, old))


def _check(due: Sequence[Run], before: Before, training: Container[str]) -> None:
    """Try every row without data, at every input size that it is to see."""
    for run in {_digest_of_row(run): run for run in due}.values():
        old = before[run.id]
        sizes = lacking_sizes(run, old) if old else run.suite.eval_sizes
        if run.id in training:
            check_detector(run.suite, run.entry)
            for role, origin in run.requires:
                if role == "init_from":
                    why = f"init_from: {run.entry.init_from}"
                    check_fits(run.suite, run.entry, origin.suite, origin.entry, why)
        for size in sizes:
            resized, why = with_input_size(run, size).suite, f"eval_sizes: {list(size)}"
            check_detector(resized, run.entry, why)
            check_fits(resized, run.entry, run.suite, run.entry, why)


def _digest_of_row(run: Run) -> str:
    """Equal for the seeds of a row."""
    return replace(run, seed=0).settings_id
