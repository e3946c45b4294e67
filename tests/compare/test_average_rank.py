from __future__ import annotations

import math

import numpy as np
import pytest

from sobench.compare import average_rank
from sobench.compare.average_rank import (
    average_ranks,
    critical_difference,
    friedman_test,
    wilcoxon,
)
from sobench.errors import RequestError


def ranked(*scores: list[float]) -> average_rank.AverageRanks:
    """Rows a, b, c, ... on data sets of these scores."""
    names = [chr(ord("a") + i) for i in range(len(scores[0]))]
    datasets = [f"set {i}" for i in range(len(scores))]
    return average_ranks(names, datasets, np.array(scores))


def test_ranks_and_friedman_by_hand() -> None:
    """Ranks (1 2 3), (1 2 3), (1 3 2), (2 1 3): sums 5, 8, 11 about 8.

    Demšar's form: 12*4/(3*4) * (25/16 + 64/16 + 121/16 - 3*16/4) = 4 * 1.125 = 4.5, and
    F = 3*4.5/(4*2 - 4.5) = 27/7.
    """
    result = ranked([0.9, 0.8, 0.7], [0.5, 0.4, 0.3], [0.6, 0.1, 0.2], [0.7, 0.8, 0.1])
    assert result.ranks.tolist() == [[1, 2, 3], [1, 2, 3], [1, 3, 2], [2, 1, 3]]
    assert result.average.tolist() == [1.25, 2.0, 2.75]
    assert result.friedman.chi2 == pytest.approx(4.5)
    assert result.friedman.f == pytest.approx(27 / 7)
    # Published table of Friedman's test: for 3 rows and 4 data sets P(chi2 >= 4.5) = .125.
    assert result.friedman.p == pytest.approx(27 / 216)
    assert (result.friedman.arrangements, result.friedman.exact) == (216, True)


def test_equal_scores_share_the_mean_of_their_ranks() -> None:
    """Ranks (1.5 1.5 3), (1 2 3): sums 2.5, 3.5, 6 about 4; squares 27.5 - 24 = 3.5 about 2."""
    result = ranked([0.3, 0.1 + 0.2, 0.1], [0.9, 0.8, 0.7])
    assert result.ranks.tolist() == [[1.5, 1.5, 3], [1, 2, 3]]
    assert result.friedman.chi2 == pytest.approx(2 * (1.5**2 + 0.5**2 + 2**2) / 3.5)


def test_friedman_is_scipys() -> None:
    from scipy.stats import f, friedmanchisquare, rankdata

    scores = np.round(np.random.default_rng(1).random((6, 4)), 1)
    scores[:, 0] += 0.2
    test = friedman_test(rankdata(-scores, axis=1))
    reference = friedmanchisquare(*scores.T)
    assert test.chi2 == pytest.approx(reference.statistic)
    # With drawn arrangements it comes close to the large-sample forms, which are approximations.
    assert not test.exact
    assert test.p == pytest.approx(f.sf(test.f, 3, 15), abs=0.03)


def test_drawn_arrangements_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = np.array([[1.0, 2, 3, 4], [2, 1, 3, 4], [1, 2, 4, 3]])
    exact = friedman_test(ranks)
    assert exact.exact
    monkeypatch.setattr(average_rank, "ARRANGEMENTS", 500)
    drawn = friedman_test(ranks)
    assert (drawn.exact, drawn.arrangements) == (False, 500)
    assert drawn.p == pytest.approx(exact.p, abs=0.03)
    assert friedman_test(ranks) == drawn


def test_all_data_sets_agree_or_none_tells_anything() -> None:
    agreed = ranked([3, 2, 1], [3, 2, 1], [3, 2, 1])
    assert agreed.friedman.chi2 == pytest.approx(6)  # N(k - 1), the largest
    assert math.isinf(agreed.friedman.f)
    assert agreed.friedman.p == pytest.approx(1 / 36)
    tied = ranked([1, 1, 1], [2, 2, 2])
    assert (tied.friedman.chi2, tied.friedman.f, tied.friedman.p) == (0, 0, 1)
    assert tied.groups == (("a", "b", "c"),)


def test_the_critical_difference_is_demsars() -> None:
    """q_.05 of his table 5 for 2, 4, 5 and 10 rows; his example has 4 rows on 14 data sets."""
    for rows, quantile in ((2, 1.960), (4, 2.569), (5, 2.728), (10, 3.164)):
        expected = quantile * math.sqrt(rows * (rows + 1) / (6 * 30))
        assert critical_difference(rows, 30) == pytest.approx(expected, abs=5e-4)
    assert critical_difference(4, 14) == pytest.approx(
        2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3
    )


def test_rows_less_than_the_critical_difference_apart_share_a_group() -> None:
    """12 data sets, 4 rows: CD = 2.569 sqrt(20/72) = 1.354; averages 1.25, 1.75, 3, 4."""
    tables = [[4.0, 3, 2, 1]] * 9 + [[3.0, 4, 2, 1]] * 3
    result = ranked(*tables)
    assert result.average.tolist() == [1.25, 1.75, 3, 4]
    assert result.critical == pytest.approx(1.354, abs=1e-3)
    assert result.friedman.p < 0.05
    # a-b .5, b-c 1.25 and c-d 1 lie within it; a-c 1.75 and b-d 2.25 do not.
    assert result.groups == (("a", "b"), ("b", "c"), ("c", "d"))


def test_without_a_difference_over_all_rows_no_pair_is_told_apart() -> None:
    result = ranked([3, 2, 1], [1, 2, 3], [2, 3, 1], [3, 1, 2])
    assert result.friedman.p > 0.05
    assert result.groups == (result.rows,)


def test_two_data_sets_can_tell_no_pair_apart() -> None:
    for rows in (2, 3, 5, 10, 20):
        assert not ranked(*[[float(i) for i in range(rows)]] * 2).can_tell
    assert ranked([3, 2, 1], [3, 2, 1], [3, 2, 1]).can_tell  # 1.913 of at most 2
    assert ranked([2, 1], [2, 1]).smallest_wilcoxon == 0.5
    assert ranked(*[[2.0, 1.0]] * 6).smallest_wilcoxon == pytest.approx(0.03125)


def test_wilcoxon_and_holm_by_hand() -> None:
    """Six differences of one sign: p = 2/2^6; with the smallest negative, 4/2^6."""
    differences = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert wilcoxon(differences) == pytest.approx(2 / 64)
    assert wilcoxon(np.array([-0.1, 0.2, 0.3, 0.4, 0.5, 0.6])) == pytest.approx(4 / 64)
    assert wilcoxon(np.zeros(3)) == 1
    scores = [[1 + d, 1.0, 1 - 10 * d] for d in differences]
    scores[0][2] = 1.05  # between the other two
    pairs = {(p.first, p.second): p for p in ranked(*scores).pairs}
    assert pairs["a", "b"].wilcoxon == pytest.approx(2 / 64)
    assert pairs["b", "c"].wilcoxon == pytest.approx(4 / 64)
    assert [pairs[pair].holm for pair in (("a", "b"), ("a", "c"), ("b", "c"))] == [
        pytest.approx(6 / 64), pytest.approx(6 / 64), pytest.approx(6 / 64),
    ]  # fmt: skip


def test_what_cannot_be_ranked() -> None:
    for scores in ([[1.0, 2.0]], [[1.0], [2.0]], [[1.0, math.nan], [1.0, 2.0]]):
        with pytest.raises(RequestError, match="two rows and two data sets"):
            ranked(*scores)
