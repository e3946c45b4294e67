from __future__ import annotations

import math

import pytest
from scipy import stats

from sobench.compare.tolerance import (
    FALSE_ALARMS,
    Spread,
    mean_error,
    row_error,
    spread_of,
    tolerance,
)


def test_the_spread_is_pooled_over_rows() -> None:
    # Variances .02 and .08 with one and one degree of freedom; the third row has no spread.
    spread = spread_of({"a": [0.1, 0.3], "b": [0.2, 0.6], "c": [0.9]})
    assert spread is not None
    assert spread.pooled == pytest.approx(math.sqrt(0.05))
    assert spread.df == pytest.approx(4 / 3)  # two thirds of two
    assert spread.of([0.1, 0.3]) == spread.pooled  # never less than that of all
    assert spread.of([0.2, 0.6]) == pytest.approx(math.sqrt(0.08))
    assert spread.of([0.9]) == spread.pooled


def test_rows_with_more_seeds_weigh_more() -> None:
    spread = spread_of({"a": [0.0, 2.0, 4.0, 6.0], "b": [1.0, 1.0]})
    assert spread is not None
    assert spread.pooled == pytest.approx(math.sqrt(20 / 4))  # squares 20 and 0 over 3 + 1


def test_no_spread_without_a_second_seed() -> None:
    assert spread_of({"a": [0.1], "b": [0.2]}) is None


def test_errors_of_means() -> None:
    assert row_error(0.02, 5, 1) == pytest.approx(0.02 * math.sqrt(1.2))
    spread = Spread(0.1, 10)
    # Two rows that go opposite ways: their mean has no spread of its own, and that of its rows.
    opposite = mean_error(spread, [[0.0, 0.1], [0.1, 0.0]], [2, 2])
    assert opposite == pytest.approx(0.1 / math.sqrt(2))
    # Two that go together do not average out: .3 each, and .3 for the mean.
    together = mean_error(spread, [[0.0, 0.3 * math.sqrt(2)]] * 2, [2, 2])
    assert together == pytest.approx(0.3)


def test_tolerance_is_students_with_bonferronis_correction() -> None:
    found = tolerance(error=0.01, df=20, tests=8, floor=0.005)
    quantile = stats.t.isf(FALSE_ALARMS / 8, 20)
    assert found.allowed == pytest.approx(0.01 * quantile)
    assert found.detectable == pytest.approx(0.01 * (quantile + stats.norm.isf(0.1)))
    assert tolerance(error=1e-6, df=20, tests=8, floor=0.005).allowed == 0.005
