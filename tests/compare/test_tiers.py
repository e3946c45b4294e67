"""Tiers are the largest groups of rows of which no two are told apart."""

from __future__ import annotations

from itertools import combinations

import pytest

from sobench.compare.tiers import tier_text, tiers


def test_no_rows_and_one() -> None:
    assert tiers(0, set()) == []
    assert tiers(1, set()) == [(1,)]


def test_rows_that_are_all_alike_share_one_tier() -> None:
    assert tiers(3, set()) == [(1,), (1,), (1,)]


def test_rows_that_all_differ_are_ranked() -> None:
    assert tiers(3, {(0, 1), (0, 2), (1, 2)}) == [(1,), (2,), (3,)]


def test_a_row_between_two_is_in_both() -> None:
    # Only the first and the last are told apart.
    assert tiers(3, {(0, 2)}) == [(1,), (1, 2), (2,)]


def test_a_chain() -> None:
    # Neighbours are alike, others are not: three tiers of two.
    apart = {(i, j) for i, j in combinations(range(4), 2) if j - i > 1}
    assert tiers(4, apart) == [(1,), (1, 2), (2, 3), (3,)]


def test_a_row_of_large_intervals_is_in_distant_tiers() -> None:
    # The fourth is like every other; the first three all differ.
    assert tiers(4, {(0, 1), (0, 2), (1, 2)}) == [(1,), (2,), (3,), (1, 2, 3)]
    # The third is like the first and the last, which the second is not.
    apart = {(0, 1), (1, 2), (0, 3)}
    # Groups: {0, 2}, {1, 3}, {2, 3}.
    assert tiers(4, apart) == [(1,), (2,), (1, 3), (2, 3)]


@pytest.mark.parametrize("edges", range(0, 64, 3))
def test_every_tier_is_a_largest_group(edges: int) -> None:
    """All graphs of this pattern on four rows, against trying every group."""
    pairs = list(combinations(range(4), 2))
    apart = {pair for bit, pair in enumerate(pairs) if edges >> bit & 1}
    groups = [
        set(group)
        for size in range(1, 5)
        for group in combinations(range(4), size)
        if not apart & set(combinations(group, 2))
    ]
    largest = sorted(
        sorted(group) for group in groups if not any(group < other for other in groups)
    )
    found = tiers(4, apart)
    assert [
        [row for row in range(4) if number in found[row]] for number in range(1, len(largest) + 1)
    ] == largest
    assert {number for numbers in found for number in numbers} == set(range(1, len(largest) + 1))


def test_many_rows_that_are_alike_take_no_time() -> None:
    assert tiers(60, {(0, 59)})[0] == (1,)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), "-"), ((1,), "1"), ((1, 2), "1-2"), ((2, 4), "2,4"), ((1, 2, 3, 5), "1-3,5")],
)
def test_text(numbers: tuple[int, ...], text: str) -> None:
    assert tier_text(numbers) == text
