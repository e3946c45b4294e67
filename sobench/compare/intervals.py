"""Intervals of a mean over seeds and of a difference of two, from resampled images; p values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sobench.compare.seed_noise import (
    UNKNOWN,
    SeedNoise,
    cautious_noise,
    own_noise,
    pooled_noise,
)

FloatArray = NDArray[np.float64]

LEVEL = 0.95
"""Of every interval."""

RESAMPLES = 1000
"""As many as give the ends of an interval to about a twentieth of its width."""

MOST_UNDEFINED = 0.05
"""Share of resamples in which a metric may be undefined and still have an interval."""

_MANY = 1e6
"""Degrees of freedom at which a t distribution is the normal one."""


@dataclass(frozen=True)
class Sample:
    """One metric of one row.

    Attributes:
        values: ``[S]``, of each seed on the whole split; NaN where undefined.
        draws: ``[S, B]``, of each seed in each resample of the images. Column ``b`` is the same
            resample in every row that this one is compared with.
        images: of the split, N; 0 if unknown, which is taken for many.
        holding: those that hold an object that counts, n; 0 if unknown, which is taken for all.
    """

    values: FloatArray
    draws: FloatArray
    images: int = 0
    holding: int = 0

    @property
    def telling(self) -> int:
        """The images that say how much images differ: those without an object hardly do."""
        return self.holding or self.images


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, or a difference of two, and how sure it is.

    Attributes:
        mean: NaN if undefined.
        std: spread over seeds, with S - 1; ``None`` for one seed and for a difference.
        se: standard error; NaN without resamples, and then so are ``low`` and ``high``.
        df: degrees of freedom of ``se``.
        low: lower end of the 95 % interval.
        high: upper end.
        seeds: S; of a difference the smaller one.
    """

    mean: float
    std: float | None
    se: float
    df: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Difference(Estimate):
    """The first row minus the second.

    Attributes:
        p: two-sided; NaN without resamples.
        adjusted: ``p`` after Holm's correction over all pairs; NaN where there is none.
    """

    p: float
    adjusted: float = np.nan

    def reversed(self) -> Difference:
        """The second row minus the first."""
        return replace(self, mean=-self.mean, low=-self.high, high=-self.low)


@dataclass(frozen=True)
class _Row:
    """A sample, reduced to what estimates need.

    Attributes:
        mean: over seeds.
        std: over seeds.
        draws: ``[B]``, the mean over seeds in each resample; NaN where a seed is undefined.
        noise: of its seeds, as its own values have it.
        images: that hold an object that counts.
    """

    mean: float
    std: float | None
    draws: FloatArray
    noise: SeedNoise
    seeds: int
    images: int


def estimate(sample: Sample) -> Estimate:
    """The mean of a metric over seeds, with its 95 % interval within 0..1, from one row alone."""
    row = _reduce(sample)
    return _estimate(row, row.noise)


def difference(a: Sample, b: Sample) -> Difference:
    """``a - b``, from these two rows alone; see ``compare`` for what it is."""
    return compare([a, b])[1][0]


def compare(
    samples: Sequence[Sample], pairs: Sequence[tuple[int, int]] | None = None
) -> tuple[list[Estimate], list[Difference]]:
    """Estimates of all rows, and differences of pairs of them with Holm's correction over these.

    Without ``pairs`` these are all pairs, in the order of ``itertools.combinations``. A difference
    is paired over images, which all rows share, and unpaired over seeds, which are other trainings
    in each row. With A the variance of a mean (or a difference of two) over resamples, B the
    variance between seeds over their number, and C the part of A that vanishes with many seeds, B
    and C summed over the rows concerned, its variance is ``A + max(B - C, 0)``: A and B both hold
    what is of one training on one image, which is C. Degrees of freedom by Satterthwaite (1946),
    "An approximate distribution of estimates of variance components"; of images, those with an
    object count, or a class that few images hold would look far too sure. The seeds' variance is a
    row's own or that of all ``samples``, whichever is larger.
    """
    rows = [_reduce(sample) for sample in samples]
    pooled = pooled_noise([row.noise for row in rows])
    noises = [cautious_noise(row.noise, pooled) for row in rows]
    differences = [
        _difference(rows[i], rows[j], noises[i], noises[j], pooled.df)
        for i, j in (combinations(range(len(rows)), 2) if pairs is None else pairs)
    ]
    adjusted = holm(np.array([found.p for found in differences], dtype=np.float64))
    return [_estimate(row, noise) for row, noise in zip(rows, noises, strict=True)], [
        replace(found, adjusted=float(p)) for found, p in zip(differences, adjusted, strict=True)
    ]


def holm(p_values: FloatArray) -> FloatArray:
    """Adjusted p values ``[P]`` of p values ``[P]``; NaN are left out of the count and stay NaN.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    adjusted = np.full(len(p_values), np.nan)
    defined = np.flatnonzero(~np.isnan(p_values))
    order = defined[np.argsort(p_values[defined], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _reduce(sample: Sample) -> _Row:
    defined = ~np.isnan(sample.values)
    values, draws = sample.values[defined], sample.draws[defined]
    seeds = len(values)
    if not seeds:
        nothing = np.full(sample.draws.shape[1], np.nan)
        return _Row(np.nan, None, nothing, UNKNOWN, 0, sample.telling)
    std = float(values.std(ddof=1)) if seeds > 1 else None
    noise = own_noise(values, draws)
    return _Row(float(values.mean()), std, draws.mean(axis=0), noise, seeds, sample.telling)


def _estimate(row: _Row, noise: SeedNoise) -> Estimate:
    se, df = _standard_error(row.draws, row.images, [(noise, row.seeds)], noise.df)
    half = _half_width(se, df)
    low, high = row.mean - half, row.mean + half
    if not np.isnan(half):
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(row.mean, row.std, se, df, low, high, row.seeds)


def _difference(a: _Row, b: _Row, of_a: SeedNoise, of_b: SeedNoise, most_df: float) -> Difference:
    gap = a.mean - b.mean
    noises = [(of_a, a.seeds), (of_b, b.seeds)]
    se, df = _standard_error(a.draws - b.draws, min(a.images, b.images), noises, most_df)
    half = _half_width(se, df)
    if se > 0:
        p = 2 * _lower_tail(-abs(gap) / se, df)
    else:
        p = np.nan if np.isnan(se) or np.isnan(gap) else float(gap == 0)
    return Difference(gap, None, se, df, gap - half, gap + half, min(a.seeds, b.seeds), p)


def _standard_error(
    draws: FloatArray, images: int, noises: Sequence[tuple[SeedNoise, int]], most_df: float
) -> tuple[float, float]:
    """Standard error, and its degrees of freedom.

    Args:
        draws: ``[B]``, its resamples.
        noises: of the seeds of each row concerned, and their number.
        most_df: of the noise of seeds, since rows share what is known of it.
    """
    defined = draws[~np.isnan(draws)]
    # One image is not drawn in another way, so nothing is known of others.
    if images == 1 or len(defined) < max(2, (1 - MOST_UNDEFINED) * len(draws)):
        return np.nan, np.nan
    # Images: the variance of resamples is smaller than that of the mean by 1 - 1 / n.
    over_images = float(defined.var(ddof=1)) * (images / (images - 1) if images else 1.0)
    df_images = images - 1.0 if images else _MANY
    # Seeds.
    known = [(noise, seeds) for noise, seeds in noises if seeds and noise.df]
    of_seeds = [(noise.variance / seeds, noise.df) for noise, seeds in known]
    shared = sum(noise.interaction / seeds for noise, seeds in known)
    if sum(variance for variance, _ in of_seeds) <= shared:
        return float(np.sqrt(over_images)), df_images
    between, df_seeds = _satterthwaite(of_seeds)
    alone = max(over_images - shared, 0.0)
    total, df = _satterthwaite([(alone, df_images), (between, min(df_seeds, most_df))])
    return float(np.sqrt(total)), df


def _satterthwaite(terms: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A sum of independent variances, not all 0, and its degrees of freedom."""
    total = sum(variance for variance, _ in terms)
    return total, min(total**2 / sum(variance**2 / df for variance, df in terms), _MANY)


def _half_width(se: float, df: float) -> float:
    from scipy.special import stdtrit  # here and below, since loading it takes a while

    return se * float(stdtrit(df, (1 + LEVEL) / 2)) if se > 0 else se


def _lower_tail(t: float, df: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(df, t))
