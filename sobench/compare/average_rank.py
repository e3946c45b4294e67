"""Scores of the same rows on several data sets -> average ranks, and which rows differ.

After Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006: the
Friedman test over all rows, then the critical difference of Nemenyi, and Wilcoxon's signed ranks
for single pairs with Holm's correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from sobench.compare.intervals import FloatArray, holm
from sobench.errors import RequestError

ALPHA = 0.05
"""The chance of an error that every test here allows."""

ARRANGEMENTS = 50_000
"""Arrangements of ranks that Friedman's p is counted over, at most."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Friedman:
    """The test of whether rows differ at all.

    Attributes:
        chi2: Friedman's statistic with its correction for ties; with ``k - 1`` degrees of freedom.
        f: that of Iman and Davenport (1980), with ``k - 1`` and ``(k - 1)(N - 1)`` degrees of
            freedom; infinite where all data sets agree.
        p: the share of the arrangements of the ranks within the data sets whose statistic is as
            large as this one; both forms above are in the same order and give the same share.
        arrangements: how many were counted.
        exact: whether these are all, or drawn ones.
    """

    chi2: float
    f: float
    p: float
    arrangements: int
    exact: bool


@dataclass(frozen=True)
class RankedPair:
    """Two rows over the data sets.

    Attributes:
        first, second: labels; ``first`` has the lower (better) average rank, or stands first.
        ranks: how much lower it is.
        wilcoxon: two-sided p of Wilcoxon's signed ranks of the differences in score.
        holm: the same after Holm's correction over all pairs.
    """

    first: str
    second: str
    ranks: float
    wilcoxon: float
    holm: float


@dataclass(frozen=True)
class AverageRanks:
    """Rows compared over data sets; k rows, N data sets, rows in the order of their average rank.

    Attributes:
        rows, datasets: names.
        scores: [N, k], higher is better.
        ranks: [N, k], 1 is best, ties have the mean of their ranks.
        average: [k].
        friedman: the test over all rows.
        critical: difference between two average ranks from which on they differ (Nemenyi, .05).
        groups: rows that share one are not told apart; from the best, each as large as can be.
        pairs: every two rows.
    """

    rows: tuple[str, ...]
    datasets: tuple[str, ...]
    scores: FloatArray
    ranks: FloatArray
    average: FloatArray
    friedman: Friedman
    critical: float
    groups: tuple[tuple[str, ...], ...]
    pairs: tuple[RankedPair, ...]

    @property
    def smallest_wilcoxon(self) -> float:
        """The smallest p that Wilcoxon's test can have with so many data sets."""
        return float(min(1.0, 2.0 ** (1 - len(self.datasets))))

    @property
    def can_tell(self) -> bool:
        """Whether two rows could differ by the critical difference, if all data sets agreed."""
        return self.critical <= len(self.rows) - 1


def average_ranks(rows: Sequence[str], datasets: Sequence[str], scores: FloatArray) -> AverageRanks:
    """Rank the rows within every data set, average over the data sets, and test the differences.

    Args:
        rows: k labels.
        datasets: N names.
        scores: [N, k], higher is better; ranks of equal scores are averaged.

    Raises:
        RequestError: there are fewer than two rows or data sets, or a score is undefined.
    """
    if len(rows) < 2 or len(datasets) < 2 or not np.isfinite(scores).all():
        raise RequestError("average ranks need two rows and two data sets with every score defined")
    from scipy.stats import rankdata

    # Means of the same numbers may differ in their last digit, and are ties all the same.
    ranks = rankdata(-np.round(scores, 12), axis=1)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    names, scores, ranks = [rows[i] for i in order], scores[:, order], ranks[:, order]
    average, friedman = ranks.mean(axis=0), friedman_test(ranks)
    critical = critical_difference(len(rows), len(datasets))
    # Nemenyi's test follows a Friedman test that has found a difference.
    reach = critical if friedman.p <= ALPHA else math.inf
    return AverageRanks(
        rows=tuple(names),
        datasets=tuple(datasets),
        scores=scores,
        ranks=ranks,
        average=average,
        friedman=friedman,
        critical=critical,
        groups=tuple(tuple(names[a:b]) for a, b in _groups(average, reach)),
        pairs=_pairs(names, scores, average),
    )


def friedman_test(ranks: FloatArray) -> Friedman:
    """Friedman's test, with p from the arrangements of the ranks themselves.

    chi2 = (k - 1) sum_j (R_j - N(k + 1)/2)^2 / (sum_ij r_ij^2 - N k (k + 1)^2 / 4), where R_j is
    the sum of a row's ranks (Conover, Practical Nonparametric Statistics, 5.8); without ties that
    is Demšar's 12N/(k(k + 1)) (sum_j R_j^2/N^2 - k(k + 1)^2/4). F is (N - 1) chi2 /
    (N(k - 1) - chi2).
    Neither the chi-squared nor the F distribution holds for a handful of data sets. If the rows
    were equal, any order within a data set would be as likely as another: p is the share of these
    with a chi2 as large. scipy's ``friedmanchisquare`` refuses two rows, and is NaN where all tie.

    Args:
        ranks: [N, k].
    """
    datasets, rows = ranks.shape
    spread = float((ranks**2).sum() - datasets * rows * (rows + 1) ** 2 / 4)
    statistic = float(_statistic(ranks.sum(axis=0), datasets))
    sums, exact = _arranged(ranks)
    as_large = int((_statistic(sums, datasets) >= statistic - _ROUNDING).sum())
    # The observed arrangement is one of all; with drawn ones it is counted as one more.
    p = as_large / len(sums) if exact else (as_large + 1) / (len(sums) + 1)
    chi2 = (rows - 1) * statistic / spread if spread > _ROUNDING else 0.0
    rest = datasets * (rows - 1) - chi2
    f = (datasets - 1) * chi2 / rest if rest > _ROUNDING else math.inf
    return Friedman(chi2, f, p, len(sums), exact)


def critical_difference(rows: int, datasets: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference of average ranks, q_alpha sqrt(k(k + 1) / 6N).

    q_alpha is a quantile of the studentised range of k values with infinite degrees of freedom,
    divided by sqrt 2 (Demšar 2006, section 3.2.2 and table 5).
    """
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, rows, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(rows * (rows + 1) / (6 * datasets))


def wilcoxon(differences: FloatArray) -> float:
    """Two-sided p of Wilcoxon's signed ranks; exact for few values, zeros are left out.

    Args:
        differences: [N] of two rows, one for each data set.
    """
    from scipy import stats

    differences = np.round(differences, 12)
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def _statistic(sums: FloatArray, datasets: int) -> Any:
    """Squared distance of the sums of ranks, [..., k], from those of equal rows."""
    return ((sums - datasets * (sums.shape[-1] + 1) / 2) ** 2).sum(axis=-1)


def _arranged(ranks: FloatArray) -> tuple[FloatArray, bool]:
    """Sums of ranks, [arrangements, k], of all arrangements or of drawn ones, and which of them.

    The first data set stays as it is: only how the others lie to it counts.
    """
    datasets, rows = ranks.shape
    if math.factorial(rows) ** (datasets - 1) <= ARRANGEMENTS:
        orders = np.array(list(permutations(range(rows))))
        sums = ranks[:1]
        for others in ranks[1:]:
            sums = (sums[:, None] + others[orders][None]).reshape(-1, rows)
        return sums, True
    generator = np.random.default_rng(0)
    sums = np.tile(ranks[0], (ARRANGEMENTS, 1))
    for others in ranks[1:]:
        sums += others[generator.random(sums.shape).argsort(axis=1)]
    return sums, False


def _groups(average: FloatArray, reach: float) -> list[tuple[int, int]]:
    """Ranges of sorted average ranks that lie less than ``reach`` apart; none lies in another."""
    groups: list[tuple[int, int]] = []
    for start, rank in enumerate(average):
        end = int(np.searchsorted(average, rank + reach - _ROUNDING, side="left"))
        if not groups or end > groups[-1][1]:
            groups.append((start, end))
    return groups


def _pairs(names: Sequence[str], scores: FloatArray, average: FloatArray) -> tuple[RankedPair, ...]:
    pairs = list(combinations(range(len(names)), 2))
    p_values = np.array([wilcoxon(scores[:, a] - scores[:, b]) for a, b in pairs])
    return tuple(
        RankedPair(names[a], names[b], float(average[b] - average[a]), float(p), adjusted)
        for (a, b), p, adjusted in zip(pairs, p_values, holm(p_values).tolist(), strict=True)
    )
