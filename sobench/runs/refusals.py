"""Rows that cannot be trained or tested, found before anything is trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence

from sobench.errors import RequestError
from sobench.models.check import check_detector, check_fits, check_pretrained, check_start
from sobench.runs.state import States
from sobench.runs.weights import with_input_size
from sobench.suite.plan import Run

Refusals = Mapping[str, RequestError]
"""Why a row is refused, by ``row_id``."""


def refused_rows(due: Sequence[Run], states: States, training: Container[str]) -> Refusals:
    """Try every row on shapes, without data, at every input size that it is to see.

    Args:
        due: the runs to be looked at.
        training: ``settings_id`` of those that are to be trained.
    """
    rows: defaultdict[str, list[Run]] = defaultdict(list)
    for run in due:
        rows[run.row_id].append(run)
    refused: dict[str, RequestError] = {}
    weights: dict[tuple[str, str], RequestError | None] = {}
    for row_id, runs in rows.items():
        try:
            # The seeds of a row differ in their states, not in their networks.
            if any(run.settings_id in training for run in runs):
                _check_training(runs[0], weights)
            untested = [size for run in runs for size in states[run.settings_id].untested]
            for size in dict.fromkeys(untested):
                _check_size(runs[0], size)
        except RequestError as error:
            refused[row_id] = error
    return refused


def is_refused(run: Run, refused: Refusals, training: Container[str]) -> bool:
    """Whether a run is refused, or one that is to be trained for it."""
    return run.row_id in refused or any(
        is_refused(required, refused, training)
        for _, required in run.requires
        if run.settings_id in training and required.settings_id in training
    )


def _check_training(run: Run, weights: dict[tuple[str, str], RequestError | None]) -> None:
    """Check that a row can be trained; ``weights`` holds those of backbones that were tried."""
    suite, entry = run.suite, run.entry
    if run.defect:
        raise RequestError(f"{suite.name}: methods: {entry.label}: {run.defect}")
    key = suite.backbone.name, run.settings["backbone"]["weights"]
    if key not in weights:
        weights[key] = None
        try:
            check_pretrained(suite, key[1])
        except RequestError as error:
            weights[key] = error
    if (problem := weights[key]) is not None:
        raise problem
    check_detector(suite, entry)
    if run.origin is not None:
        check_start(suite, entry, run.origin)
    for role, origin in run.requires:
        if role == "init_from":
            check_fits(suite, entry, origin.suite, origin.entry, f"init_from: {entry.init_from}")


def _check_size(run: Run, size: tuple[int, int]) -> None:
    """Check that a row can be tested at a further input size."""
    suite, entry = run.suite, run.entry
    resized, why = with_input_size(suite, size), f"eval_sizes: {list(size)}"
    check_detector(resized, entry, why)
    check_fits(resized, entry, suite, entry, why)
