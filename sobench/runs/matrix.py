"""The runs of a plan, one after the other: skip those that are done, resume the half-done ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import torch

from sobench.models.check import check_detector, check_fits
from sobench.runs.callbacks import MatrixProgressCallback
from sobench.runs.execute import execute, rescore
from sobench.runs.record import Record
from sobench.runs.state import RunState, States, read_states
from sobench.runs.weights import with_input_size
from sobench.suite.plan import Run, with_required


def run_matrix(
    runs: Sequence[Run],
    results: Path,
    device: torch.device,
    callback: MatrixProgressCallback,
    checkpoint_seconds: float = 60.0,
) -> Iterator[Record]:
    """The record of every run, and of the runs that they require, which come before them.

    A run that is done is not done again; only its scores are brought up to the suite's protocol. A
    run that diverged would do so again, so it stays as it is until its folder is deleted; one that
    failed for another reason is tried again. The runs that a run requires are not asked for if the
    run itself is done.

    Raises:
        RequestError: a row that is to be trained cannot be built; raised before any is trained.
    """
    states = read_states(with_required(runs), results)
    training = _to_train(runs, states)
    due = with_required(runs, lambda run: run.settings_id in training)
    _check_rows(due, states, training)
    for number, run in enumerate(due, 1):
        callback.on_run_start(run, number, len(due))
        state = states[run.settings_id]
        if run.settings_id in training or state.record is None:
            outcome = execute(run, results, device, callback, checkpoint_seconds)
        elif state.name in ("done", "diverged"):
            outcome = state.record
        else:
            outcome = rescore(run, results, state.record, device, callback)
        callback.on_run_end(run, outcome, fresh=outcome is not state.record)
        yield outcome


def _to_train(runs: Sequence[Run], states: States) -> set[str]:
    """``settings_id`` of the runs to be trained: unfinished ones, and teachers without weights."""
    training: set[str] = set()

    def visit(run: Run, needed: bool) -> None:
        state = states[run.settings_id]
        if run.settings_id not in training and _is_to_train(state, needed):
            training.add(run.settings_id)
            for _, required in run.requires:
                visit(required, needed=True)

    for run in runs:
        visit(run, needed=False)
    return training


def _is_to_train(state: RunState, needed: bool) -> bool:
    """Whether a run is to be trained; ``needed`` if another one needs its weights."""
    is_finished = state.record is not None and bool(state.record.scores)
    return state.needs_training or (needed and is_finished and not state.has_weights)


def _check_rows(due: Sequence[Run], states: States, training: Container[str]) -> None:
    """Try every row on shapes, without data, at every input size that it is to see."""
    rows: defaultdict[str, list[Run]] = defaultdict(list)
    for run in due:
        rows[run.row_id].append(run)
    for runs in rows.values():
        suite, entry = runs[0].suite, runs[0].entry
        # The seeds of a row differ in their states, not in their networks.
        if any(run.settings_id in training for run in runs):
            check_detector(suite, entry)
            for role, origin in runs[0].requires:
                if role == "init_from":
                    why = f"init_from: {entry.init_from}"
                    check_fits(suite, entry, origin.suite, origin.entry, why)
        untested = [size for run in runs for size in states[run.settings_id].untested]
        for size in dict.fromkeys(untested):
            resized, why = with_input_size(suite, size), f"eval_sizes: {list(size)}"
            check_detector(resized, entry, why)
            check_fits(resized, entry, suite, entry, why)
