"""Intervals and p values on samples whose variances are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import stdtr, stdtrit

from sobench.compare.intervals import (
    FloatArray,
    Sample,
    compare,
    difference,
    estimate,
    holm,
)

UP = np.array([1.0, -1.0, 0.0, 0.0])
ACROSS = np.array([0.0, 0.0, 1.0, -1.0])
"""Two resampled parts that do not covary, each of variance 2/3."""


def sample(values: list[float], draws: list[FloatArray], images: int = 0) -> Sample:
    return Sample(np.array(values), np.stack(draws), images)


def test_one_seed_is_images_only() -> None:
    found = estimate(sample([0.5], [0.5 + 0.03 * UP], images=11))
    # 11 images: the variance of resamples is 10 / 11 of that of the mean, with 10 degrees.
    se = np.sqrt(0.03**2 * 2 / 3 * 11 / 10)
    half = se * stdtrit(10, 0.975)
    assert (found.mean, found.std, found.seeds) == (0.5, None, 1)
    assert found.se == pytest.approx(se)
    assert found.df == 10
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_only_images_with_an_object_count() -> None:
    row = Sample(np.array([0.5]), np.stack([0.5 + 0.03 * UP]), images=120, holding=4)
    other = Sample(np.array([0.4]), np.stack([0.4 + 0.03 * ACROSS]), images=120, holding=4)
    found, apart = estimate(row), difference(row, other)
    assert (found.df, apart.df) == (3, 3)
    assert found.se == pytest.approx(np.sqrt(0.03**2 * 2 / 3 * 4 / 3))
    assert apart.se == pytest.approx(np.sqrt(2 * 0.03**2 * 2 / 3 * 4 / 3))


def test_images_and_seeds_are_added_and_their_interaction_once() -> None:
    """Seeds share 0.02 over images; 0.01 is of each alone; their values differ by 0.1."""
    draws = [0.4 + 0.02 * UP + 0.01 * ACROSS, 0.5 + 0.02 * UP - 0.01 * ACROSS]
    found = estimate(sample([0.4, 0.5], draws))
    shared, interaction = 0.02**2 * 2 / 3, 0.01**2 * 2 / 3
    # Of resamples: one seed has shared + interaction; the mean of these two opposites has shared.
    own = 2 * interaction  # (of one - of mean) * S / (S - 1)
    between = 0.1**2 / 2 / 2
    image = shared - own / 2
    assert found.mean == pytest.approx(0.45)
    assert found.std == pytest.approx(0.1 / np.sqrt(2))
    assert found.se**2 == pytest.approx(image + between)
    # Satterthwaite, with many images and one degree of freedom between two seeds.
    assert found.df == pytest.approx((image + between) ** 2 / (between**2 / 1 + image**2 / 1e6))


def test_seeds_that_agree_more_than_images_allow_add_nothing() -> None:
    draws = [0.4 + 0.02 * UP + 0.01 * ACROSS, 0.4 + 0.02 * UP - 0.01 * ACROSS]
    found = estimate(sample([0.4, 0.4], draws, images=101))
    assert found.se**2 == pytest.approx(0.02**2 * 2 / 3 * 1.01)
    assert found.df == 100


def test_a_difference_is_paired_over_images() -> None:
    a, b = sample([0.6], [0.6 + 0.05 * UP + 0.01 * ACROSS]), sample([0.5], [0.5 + 0.05 * UP])
    found = difference(a, b)
    assert found.mean == pytest.approx(0.1)
    assert found.se**2 == pytest.approx(0.01**2 * 2 / 3)  # what they share has gone
    assert found.p == pytest.approx(2 * stdtr(1e6, -0.1 / found.se))
    assert found.std is None
    back = difference(b, a)
    assert back.mean == -found.mean
    assert back.p == found.p
    assert found.reversed() == replace(back, adjusted=found.adjusted)


def test_a_difference_is_unpaired_over_seeds() -> None:
    """Seeds that rise together in both rows are no evidence: they are other trainings."""
    a = sample([0.5, 0.6], [0.5 + 0.001 * UP, 0.6 + 0.001 * UP])
    b = sample([0.4, 0.5], [0.4 + 0.001 * ACROSS, 0.5 + 0.001 * ACROSS])
    found = difference(a, b)
    assert found.se**2 == pytest.approx(2 * 0.1**2 / 2 / 2, rel=1e-3)
    assert found.df == pytest.approx(2, rel=1e-2)


def test_rows_share_what_is_known_of_seeds() -> None:
    """A row's variance between seeds is its own or the average, whichever is larger."""

    def row(*values: float) -> Sample:
        return sample(list(values), [value + 0.0 * UP for value in values])

    steady, shaky = row(0.5, 0.5, 0.5), row(0.1, 0.2, 0.3)
    estimates, (pair,) = compare([steady, shaky])
    pooled = (0.0 + 0.01) / 2
    assert estimates[0].se ** 2 == pytest.approx(pooled / 3)
    assert estimates[1].se ** 2 == pytest.approx(0.01 / 3)
    assert [found.df for found in estimates] == pytest.approx([4, 4])
    assert pair.se**2 == pytest.approx((pooled + 0.01) / 3)
    assert pair.df == pytest.approx(4)  # of both rows together, not of each
    alone = estimate(steady)
    assert (alone.se, alone.low, alone.high) == (0, 0.5, 0.5)


def test_a_row_with_one_seed_has_the_noise_of_the_others() -> None:
    single = sample([0.5], [0.5 + 0.0 * UP])
    several = sample([0.1, 0.2, 0.3], [value + 0.0 * UP for value in (0.1, 0.2, 0.3)])
    (found, _), (pair,) = compare([single, several])
    assert found.se**2 == pytest.approx(0.01)
    assert found.std is None
    assert pair.se**2 == pytest.approx(0.01 + 0.01 / 3)
    assert pair.seeds == 1


def test_equal_rows_do_not_differ() -> None:
    one = sample([0.5], [0.5 + 0.03 * UP])
    found = difference(one, one)
    assert (found.mean, found.se, found.low, found.high, found.p) == (0, 0, 0, 0, 1)


def test_a_difference_without_variance_is_certain() -> None:
    found = difference(sample([0.5], [0.5 + 0.0 * UP]), sample([0.4], [0.4 + 0.0 * UP]))
    assert (found.low, found.high, found.p) == pytest.approx((0.1, 0.1, 0))


def test_undefined_values() -> None:
    nothing = sample([np.nan], [np.full(4, np.nan)])
    one = sample([0.5], [0.5 + 0.03 * UP])
    found = difference(one, nothing)
    assert np.isnan([found.mean, found.se, found.low, found.high, found.p]).all()
    assert np.isnan(estimate(nothing).mean)
    # A seed without a value is left out.
    part = sample([0.5, np.nan], [0.5 + 0.03 * UP, np.full(4, np.nan)])
    assert estimate(part) == estimate(one)


def test_few_undefined_resamples_are_left_out_and_many_forbid_an_interval() -> None:
    random = np.random.default_rng(0)
    draws = 0.5 + 0.02 * random.normal(size=100)
    few, many = draws.copy(), draws.copy()
    few[:5], many[:6] = np.nan, np.nan
    assert estimate(sample([0.5], [few])).se == pytest.approx(draws[5:].std(ddof=1))
    found = estimate(sample([0.5], [many]))
    assert found.mean == 0.5
    assert np.isnan([found.se, found.low, found.high]).all()
    both = difference(sample([0.5], [few]), sample([0.4], [np.roll(few, 1)]))
    assert np.isnan(both.p)  # six resamples lack one of the two


def test_one_image_says_nothing_of_others() -> None:
    found = estimate(sample([0.5], [np.full(4, 0.5)], images=1))
    assert np.isnan([found.se, found.low, found.high]).all()


def test_intervals_of_fractions_stay_within_them() -> None:
    found = estimate(sample([0.01], [0.01 + 0.2 * UP]))
    assert found.low == 0
    assert estimate(sample([0.99], [0.99 + 0.2 * UP])).high == 1


def test_holm() -> None:
    p_values = np.array([0.01, 0.04, 0.03, 0.005, np.nan])
    # Rising: .005 * 4, .01 * 3, .03 * 2, and .04 * 1, which may not be less than the one before.
    assert holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02, np.nan], nan_ok=True)
    assert holm(np.array([0.6, 0.9])) == pytest.approx([1, 1])
    assert holm(np.array([])).shape == (0,)


def test_pairs_are_corrected_together() -> None:
    rows = [sample([mean], [mean + 0.01 * part]) for mean, part in
            ((0.50, UP), (0.52, ACROSS), (0.58, 0.5 * UP + ACROSS))]  # fmt: skip
    _, pairs = compare(rows)
    assert [found.mean for found in pairs] == pytest.approx([-0.02, -0.08, -0.06])
    assert [found.adjusted for found in pairs] == pytest.approx(
        holm(np.array([found.p for found in pairs]))
    )


def test_p_values_reach_far_below_the_number_of_resamples() -> None:
    found = difference(sample([0.5], [0.5 + 0.01 * UP]), sample([0.4], [0.4 + 0.0 * UP]))
    assert 0 < found.p < 1e-20
