"""The trials of ``sobench tune``: every row of a suite with every point of a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from sobench.errors import RequestError
from sobench.suite.overrides import Request
from sobench.suite.plan import Run, Trial, check_distinct, plan
from sobench.suite.tuned import Choice, overlapping
from sobench.text import quoted, shortened
from sobench.yaml_text import UnreadableYaml, read_yaml

Grid = Mapping[str, Sequence[Any]]
"""Dotted key of the suite -> the values to be tried; a trial is one of each."""

MAX_TRIALS = 1000
"""Of a row."""


def read_grid(texts: Sequence[str]) -> Grid:
    """The grid that the options ``--grid KEY=V1,V2`` ask for.

    Raises:
        RequestError: an option is not written so, a key is given twice, or there are too many
            trials.
    """
    grid: dict[str, Sequence[Any]] = {}
    for text in texts:
        key, _, values = text.partition("=")
        key = key.strip()
        if not key or not values.strip():
            raise RequestError(
                f"--grid {shortened(text)}: write KEY=V1,V2, such as schedule.lr=0.003,0.01,0.03"
            )
        try:
            grid_values = read_yaml(f"[{values}]")
        except UnreadableYaml as error:
            raise RequestError(f"--grid {shortened(text)}: the values: {error}") from None
        if other := overlapping(key, grid):
            raise RequestError(
                f"--grid {shortened(text)}: {shortened(other)} has values of its own; "
                "write all values of a key in one --grid"
            )
        grid[key] = grid_values
    if not grid:
        raise RequestError("--grid: nothing to try; write --grid schedule.lr=0.003,0.01,0.03")
    number = math.prod(map(len, grid.values()))
    if number > MAX_TRIALS:
        raise RequestError(f"--grid: {number} trials of each row; ask for {MAX_TRIALS} at most")
    return grid


def plan_trials(request: Request, grid: Grid, holdout: float, data: str) -> list[Run]:
    """The same trials for every row that is asked for, with every seed.

    The choice of each run has the values as the suite reads them: 0.001 for ``1e-3``.

    Args:
        holdout: share of the training images that is held out.
        data: fingerprint of the train split.

    Raises:
        RequestError: a key is not one in which rows may differ, a value does not fit it or a row,
            or two trials are the same training.
    """
    runs = []
    for point in product(*grid.values()):
        trial = Trial(Choice(dict(zip(grid, point, strict=True)), "--grid"), holdout)
        planned = plan(
            request.suite, data, request.limit, request.partial,
            request.methods, request.seeds, trial,
        )  # fmt: skip
        for run in planned:
            values = {key: _value(run, key, trial.choice.values[key]) for key in grid}
            runs.append(replace(run, choice=Choice(values, "--grid")))
    check_distinct(runs)
    return runs


def _value(run: Run, key: str, written: Any) -> Any:
    """The value of a dotted key in the suite as a run executes it; a section as it is written."""
    value: Any = run.suite.model_dump(mode="json")
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            raise RequestError(f"--grid: unknown key {quoted(key)}")
        value = value[name]
    # A section in full would print keys that nobody tries: ``anchors: fit`` has a ``smallest``.
    return written if isinstance(value, dict) else value
