"""Whether AP is worse than a baseline's; losses and counts stand in where AP says too little."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from sobench.compare.baseline import SeedResult
from sobench.compare.findings import ALL_ROWS, Finding, Verdict
from sobench.compare.tolerance import (
    Spread,
    Tolerance,
    mean_error,
    row_error,
    spread_of,
    tolerance,
)
from sobench.metrics.table import recall_metric, score_metrics, smallest_metric
from sobench.suite.protocols import PROTOCOLS

Results = Mapping[str, Sequence[SeedResult]]
"""Label -> the trainings of a row."""

COARSE = 0.5
"""A fraction says too little if so great a part of it could be lost without being noticed."""

_MIN_ROWS = 3
"""Of which the mean says more than each."""


@dataclass(frozen=True)
class Quantity:
    """What is compared.

    Attributes:
        worse: the direction of a regression; ``either`` for what should stay as it is.
        floor: a difference that always passes; of a relative quantity a fraction.
        relative: whether ratios are compared, as for losses, which differ in size from row to row.
        value: of a training; ``None`` if it is not defined.
        added: to a value before its logarithm is taken, which 0 has none of.
    """

    name: str
    worse: Literal["lower", "higher", "either"]
    floor: float
    relative: bool
    value: Callable[[SeedResult], float | None]
    added: float = 0.0

    @property
    def sides(self) -> int:
        """One-sided or two-sided."""
        return 2 if self.worse == "either" else 1

    def on_scale(self, results: Sequence[SeedResult]) -> list[float]:
        """The defined values, as logarithms if they are relative."""
        values = [value for result in results if (value := self.value(result)) is not None]
        if not self.relative:
            return values
        return [math.log(max(value + self.added, 1e-9)) for value in values]

    def shown(self, value: float) -> float:
        """A value of the scale as people know it."""
        return math.exp(value) - self.added if self.relative else value

    def shown_difference(self, value: float) -> float:
        """A difference on the scale as people know it: a relative one as a factor."""
        return math.exp(value) if self.relative else value


def accuracy_quantities(protocol: str) -> tuple[Quantity, ...]:
    """The metric that ranks, such as AP, and that of the smallest objects, if there is one."""
    names = (ranking_metric(protocol), smallest_metric(PROTOCOLS[protocol]))
    return tuple(_fraction(name) for name in names if name)


def ranking_metric(protocol: str) -> str:
    """The name of the metric that ranks."""
    return score_metrics(PROTOCOLS[protocol])[0].name


def stand_ins(protocol: str) -> tuple[Quantity, ...]:
    """What a row is held by if AP says too little of it."""
    return (
        _fraction(recall_metric(PROTOCOLS[protocol])),
        Quantity("loss", "higher", 0.02, True, lambda result: result.losses.get("total")),
        Quantity("first losses", "either", 0.02, True, _first_loss),
        Quantity("detections", "either", 0.10, True, lambda result: float(result.detections), 1.0),
    )


def _fraction(name: str) -> Quantity:
    return Quantity(name, "lower", 0.005, False, lambda result: result.metrics.get(name))


def _first_loss(result: SeedResult) -> float | None:
    return fmean(result.first_losses) if result.first_losses else None


def accuracy_findings(baseline: Results, now: Results, protocol: str) -> list[Finding]:
    """One finding for each row and quantity, and for the mean over three rows or more.

    Args:
        baseline: every row of it, since all of them tell of the spread.
        now: rows that are compared; those that the baseline lacks are left out.
    """
    labels = [label for label in now if label in baseline and now[label]]
    return _lost(labels, baseline, now, protocol) + _findings(labels, baseline, now, protocol)


def _lost(labels: Sequence[str], baseline: Results, now: Results, protocol: str) -> list[Finding]:
    """Metrics that have become undefined, for which there is no reason on the same data."""
    return [
        Finding(label, "accuracy", quantity.name, "changed", fmean(before), told="undefined now")
        for label in labels
        for quantity in accuracy_quantities(protocol)
        if (before := quantity.on_scale(baseline[label]))
        and len(quantity.on_scale(now[label])) < len(now[label])
    ]


def power_findings(baseline: Results, seeds: int, protocol: str) -> list[Finding]:
    """What a check of all rows with so many seeds can find, with the baseline's own values."""
    return _findings(list(baseline), baseline, seeds, protocol)


def _findings(
    labels: Sequence[str], baseline: Results, now: Results | int, protocol: str
) -> list[Finding]:
    groups = [[label] for label in labels]
    if len(labels) >= _MIN_ROWS:
        groups.append([*labels])
    # Whether a metric is coarse must not hang on how many others are.
    most = len(accuracy_quantities(protocol)) * len(groups)
    trials = [trial for rows in groups for trial in _trials(rows, baseline, now, protocol, most)]
    tests = sum(trial.quantity.sides for trial in trials if not trial.is_coarse)
    return [_judge(trial, trial.tolerated(tests)) for trial in trials]


@dataclass(frozen=True)
class _Trial:
    """A row, or the mean of several, and a quantity that both sides have.

    Attributes:
        error: standard deviation of the difference, with nothing changed.
        is_coarse: whether it says too little to count.
        stands_in: whether it is there because AP is too coarse.
    """

    row: str
    quantity: Quantity
    baseline: float
    now: float
    error: float
    df: float
    is_coarse: bool
    stands_in: bool

    def tolerated(self, tests: float) -> Tolerance:
        return tolerance(self.error, self.df, tests, self.quantity.floor)


def _trials(
    rows: Sequence[str], baseline: Results, now: Results | int, protocol: str, tests: int
) -> list[_Trial]:
    """The quantities that a row is held by; the stand-ins only if AP says too little."""
    asked = [_trial(rows, quantity, baseline, now, tests) for quantity in
             accuracy_quantities(protocol)]  # fmt: skip
    trials = [trial for trial in asked if trial is not None]
    if not trials or trials[0].quantity.name != ranking_metric(protocol) or trials[0].is_coarse:
        others = [_trial(rows, quantity, baseline, now, tests, True)
                  for quantity in stand_ins(protocol)]  # fmt: skip
        trials += [trial for trial in others if trial is not None]
    return trials


def _trial(
    rows: Sequence[str],
    quantity: Quantity,
    baseline: Results,
    now: Results | int,
    tests: int,
    stands_in: bool = False,
) -> _Trial | None:
    """The trial of a quantity; ``None`` if a side lacks it or nothing is known of its spread."""
    recorded = {label: quantity.on_scale(results) for label, results in baseline.items()}
    spread = spread_of(recorded)
    of_rows = [recorded[label] for label in rows]
    if spread is None or not all(of_rows):
        return None
    before = after = fmean(map(fmean, of_rows))
    if isinstance(now, int):
        counts = [now] * len(rows)
    else:
        new = [quantity.on_scale(now[label]) for label in rows]
        if not all(new):
            return None
        counts, after = [len(values) for values in new], fmean(map(fmean, new))
    error = _error(spread, of_rows, counts)
    allowed = tolerance(error, spread.df, tests, quantity.floor).allowed
    return _Trial(
        rows[0] if len(rows) == 1 else ALL_ROWS, quantity, before, after, error, spread.df,
        not quantity.relative and allowed > COARSE * before, stands_in,
    )  # fmt: skip


def _error(spread: Spread, recorded: Sequence[Sequence[float]], new: Sequence[int]) -> float:
    if len(recorded) == 1:
        return row_error(spread.of(recorded[0]), len(recorded[0]), new[0])
    return mean_error(spread, recorded, new)


def _judge(trial: _Trial, tolerated: Tolerance) -> Finding:
    quantity, rise = trial.quantity, trial.now - trial.baseline
    worse = {"lower": -rise, "higher": rise, "either": abs(rise)}[quantity.worse]
    verdict: Verdict = "pass"
    told = "in place of AP" if trial.stands_in else ""
    if trial.is_coarse:
        verdict = "too coarse"
        told = "more than half of it could be lost unnoticed"
    elif worse > tolerated.allowed:
        verdict = "changed" if quantity.worse == "either" else "worse"
    elif quantity.worse != "either" and -worse > tolerated.allowed:
        verdict, told = "better", "record the baseline anew, or a later loss of it goes unnoticed"
    return Finding(
        trial.row, "accuracy", quantity.name, verdict,
        quantity.shown(trial.baseline), quantity.shown(trial.now),
        quantity.shown_difference(tolerated.allowed),
        quantity.shown_difference(tolerated.detectable), quantity.relative, told,
    )  # fmt: skip
