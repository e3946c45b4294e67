"""A short form of ``tests/benchmarks/coverage.py``: what it measures holds roughly."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from sobench.compare.intervals import Difference, Sample, compare
from tests.benchmarks.coverage import METHODS, covered, draw_trial, is_split, told_apart
from tests.benchmarks.simulated import World

SMALL = World(images=30, objects=4, false=4, classes=1)


def test_a_trial_of_equal_methods() -> None:
    trial = draw_trial(SMALL, 1, 0.0, 60, np.random.default_rng(0))
    assert not is_split(trial)
    assert told_apart(trial) == 0
    assert covered(trial, "AP") > 0.8


def test_a_trial_of_methods_that_differ() -> None:
    trial = draw_trial(SMALL, 1, 2.5, 60, np.random.default_rng(0))
    assert is_split(trial)
    assert told_apart(trial) > 0.9
    assert covered(trial, "AP") < 0.6  # of all pairs; those of equals are covered


@pytest.mark.parametrize(("seeds", "noise"), [(1, 0.0), (3, 0.0), (3, 0.02), (3, 0.06)], ids=str)
def test_intervals_of_equal_rows_contain_zero(seeds: int, noise: float) -> None:
    """Means over drawn images, in which a trial takes milliseconds: 60 trials of ten rows."""
    random, images, resamples = np.random.default_rng(1), 100, 150
    shares, splits = [], []
    for _ in range(60):
        weights = random.multinomial(images, np.full(images, 1 / images), resamples).T / images
        difficulty = 0.2 * random.normal(size=images)
        pairs = compare([_row(seeds, noise, difficulty, weights, random) for _ in range(METHODS)])[
            1
        ]
        shares.append(np.mean([_holds_zero(pair) for pair in pairs]))
        splits.append(min(pair.adjusted for pair in pairs) < 0.05)
    assert 0.92 < np.mean(shares) < 0.98
    assert np.mean(splits) < 0.1  # .05 but for chance


def test_adding_variances_naively_would_be_found_out() -> None:
    """Seeds that differ much more than images: resampling alone is far too sure of itself."""
    random = np.random.default_rng(2)
    weights = random.multinomial(100, np.full(100, 0.01), 150).T / 100
    misses = 0
    for _ in range(40):
        rows = [_row(3, 0.2, np.zeros(100), weights, random) for _ in range(METHODS)]
        images_only = [replace(row, values=row.values[:1], draws=row.draws[:1]) for row in rows]
        ours, naive = compare(rows)[1], compare(images_only)[1]
        assert np.mean([_holds_zero(pair) for pair in ours]) > 0.5
        misses += sum(not _holds_zero(pair) for pair in naive)
    assert misses > 0.3 * 40 * len(list(combinations(range(METHODS), 2)))


def _row(
    seeds: int,
    noise: float,
    difficulty: np.ndarray[tuple[int], np.dtype[np.float64]],
    weights: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    random: np.random.Generator,
) -> Sample:
    """What images and trainings share, what is of each method, and what of each of its seeds."""
    images = len(difficulty)
    values = (
        0.5
        + difficulty
        + 0.1 * random.normal(size=images)
        + 0.2 * random.normal(size=(seeds, images))
        + noise * random.normal(size=(seeds, 1))
    )
    return Sample(values.mean(axis=1), values @ weights, images)


def _holds_zero(found: Difference) -> bool:
    return found.low <= 0 <= found.high
