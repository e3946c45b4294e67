"""The noise of training: what seeds add to a metric, learnt from all rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SeedNoise:
    """How much a metric differs between trainings of one row that differ in their seed.

    Attributes:
        variance: between the values of two trainings.
        interaction: the part of it that differs from image to image, which resampling images shows
            too.
        df: degrees of freedom of ``variance``; 0 if nothing is known of it.
    """

    variance: float
    interaction: float
    df: float


UNKNOWN = SeedNoise(0.0, 0.0, 0.0)


def own_noise(values: FloatArray, draws: FloatArray) -> SeedNoise:
    """That of one row from its values ``[S]`` and their resamples ``[S, B]``, all defined."""
    if len(values) < 2:
        return UNKNOWN
    return SeedNoise(float(values.var(ddof=1)), _interaction(draws), len(values) - 1.0)


def pooled_noise(rows: Sequence[SeedNoise]) -> SeedNoise:
    """That of all rows together, each with the weight of its degrees of freedom."""
    df = sum(row.df for row in rows)
    if not df:
        return UNKNOWN
    variance = sum(row.df * row.variance for row in rows) / df
    return SeedNoise(variance, sum(row.df * row.interaction for row in rows) / df, df)


def cautious_noise(own: SeedNoise, pooled: SeedNoise) -> SeedNoise:
    """What a row is taken to have: its own noise or that of all rows, whichever is larger.

    With three seeds a row's own variance, of two degrees of freedom, is often far too small. The
    average of all rows is steady, but too small for a row that is less stable than the others. A
    row with one seed has the average.
    """
    if not own.df:
        return pooled
    return SeedNoise(max(own.variance, pooled.variance), own.interaction, max(own.df, pooled.df))


def _interaction(draws: FloatArray) -> float:
    """Variance over resamples that is of one seed alone: that of a seed less that of two in common.

    ``draws`` is ``[S, B]`` with S > 1; resamples in which a seed is undefined are left out.
    """
    defined = draws[:, ~np.isnan(draws).any(axis=0)]
    if defined.shape[1] < 2:
        return 0.0
    seeds = len(defined)
    of_one = float(defined.var(axis=1, ddof=1).mean())
    of_mean = float(defined.mean(axis=0).var(ddof=1))
    return max((of_one - of_mean) * seeds / (seeds - 1), 0.0)
