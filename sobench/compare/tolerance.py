"""How much worse than a baseline a result may be before training noise no longer explains it.

The mean over ``n_c`` new seeds differs from the mean over ``n_b`` recorded ones, with nothing
changed, by a normal deviation of ``sigma * sqrt(1 / n_b + 1 / n_c)``. ``sigma`` is known from few
seeds of each row, so the rows help each other: the spread of a row is its own or the pooled one of
all rows, whichever is greater. Pooling rows of unequal noise makes the greatest differences more
frequent than Student's t has them; two thirds of the pooled degrees of freedom make up for it
(``python -m tests.benchmarks.gate simulate`` counts false alarms).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

FALSE_ALARMS = 0.01
"""Probability that a check of an unchanged tree fails at all, over all rows and metrics."""

POWER = 0.9
"""Share of the checks that find the detectable difference."""

_DEGREES_KEPT = 2 / 3


@dataclass(frozen=True)
class Spread:
    """What is known of the training noise.

    Attributes:
        pooled: standard deviation over seeds, as the root of the rows' mean variance.
        df: degrees of freedom for Student's t.
    """

    pooled: float
    df: float

    def of(self, values: Sequence[float]) -> float:
        """The standard deviation of a row with these values, one for each recorded seed."""
        own = math.sqrt(_variance(values)) if len(values) > 1 else 0.0
        return max(own, self.pooled)


def spread_of(rows: Mapping[str, Sequence[float]]) -> Spread | None:
    """The training noise of a suite, from the values of each row; ``None`` if no row has two."""
    repeated = [values for values in rows.values() if len(values) > 1]
    if not repeated:
        return None
    degrees = [len(values) - 1 for values in repeated]
    total = sum(_variance(values) * n for values, n in zip(repeated, degrees, strict=True))
    return Spread(math.sqrt(total / sum(degrees)), max(1.0, sum(degrees) * _DEGREES_KEPT))


@dataclass(frozen=True)
class Tolerance:
    """How far a mean may be from the baseline's, on the scale of the values.

    Attributes:
        allowed: the largest difference that passes.
        error: standard deviation of the difference, with nothing changed.
    """

    allowed: float
    error: float

    @property
    def detectable(self) -> float:
        """The smallest true difference that is found with probability ``POWER``."""
        from scipy.special import ndtri

        return self.allowed + float(ndtri(POWER)) * self.error


def tolerance(error: float, df: float, tests: float, floor: float) -> Tolerance:
    """The tolerance of one of several one-sided tests, by Bonferroni's correction.

    Args:
        error: standard deviation of the difference of the means.
        df: degrees of freedom of its estimate.
        tests: number of tests that share ``FALSE_ALARMS``; a two-sided one counts twice.
        floor: differences up to this pass in any case.
    """
    from scipy.special import stdtrit

    quantile = float(stdtrit(df, 1 - FALSE_ALARMS / max(tests, 1.0)))
    return Tolerance(max(floor, quantile * error), error)


def row_error(sigma: float, recorded: int, new: int) -> float:
    """Standard deviation of the difference between means of so many seeds."""
    return sigma * math.sqrt(1 / recorded + 1 / new)


def mean_error(spread: Spread, recorded: Sequence[Sequence[float]], new: Sequence[int]) -> float:
    """The same for the mean over rows, whose seeds may go up and down together.

    Args:
        recorded: the values of each row, seed by seed.
        new: the number of new seeds of each row.
    """
    rows = len(recorded)
    errors = [row_error(spread.of(v), len(v), n) for v, n in zip(recorded, new, strict=True)]
    independent = math.sqrt(sum(error**2 for error in errors)) / rows
    if len({len(values) for values in recorded}) > 1 or len(recorded[0]) < 2:
        return independent
    together = math.sqrt(_variance([fmean(of_seed) for of_seed in zip(*recorded, strict=True)]))
    return max(independent, row_error(together, len(recorded[0]), min(new)))


def _variance(values: Sequence[float]) -> float:
    """Of a sample; in floating point, for ``statistics.variance`` takes a hundred times as long."""
    middle = fmean(values)
    return math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)
