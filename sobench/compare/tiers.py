"""Tiers in place of ranks: rows that cannot be told apart share one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

ALPHA = 0.05
"""Two rows are told apart if the adjusted p value of their difference is below it."""

RULE = (
    "tiers: the largest groups of rows of which no two differ in {metric} with p below .05, "
    "two-sided, by Holm's correction over all pairs; a row may be in several"
)
"""In one line, for beneath a table."""


def tiers(count: int, apart: Collection[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The tiers that each row is in, from 1.

    A tier is a largest set of rows of which no two are told apart: no further row could join it.
    Tiers are numbered by their best row, those with the same one by their next, and so on.

    Args:
        count: of rows, which are sorted with the best one first.
        apart: pairs ``(i, j)`` that are told apart, ``i < j``.
    """
    alike = [
        {j for j in range(count) if j != i and (min(i, j), max(i, j)) not in apart}
        for i in range(count)
    ]
    groups = sorted(_largest_groups(alike, set(), set(range(count)), set()))
    return [
        tuple(number for number, group in enumerate(groups, 1) if row in group)
        for row in range(count)
    ]


def tier_text(numbers: Sequence[int]) -> str:
    """``1``, ``1-3`` for 1, 2 and 3, ``2,4`` for 2 and 4; ``-`` for none."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    texts = [str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans]
    return ",".join(texts) or "-"


def _largest_groups(
    alike: Sequence[set[int]], group: set[int], candidates: set[int], seen: set[int]
) -> list[tuple[int, ...]]:
    """The maximal cliques of a graph that hold ``group``, by Bron and Kerbosch (1973) with pivots.

    Args:
        alike: of each row, the rows that it is not told apart from.
        candidates: rows that may join the group.
        seen: rows that could, but whose groups have been listed.
    """
    if not candidates and not seen:
        return [tuple(sorted(group))]
    pivot = max(candidates | seen, key=lambda row: (len(alike[row] & candidates), -row))
    found: list[tuple[int, ...]] = []
    for row in sorted(candidates - alike[pivot]):
        found += _largest_groups(alike, group | {row}, candidates & alike[row], seen & alike[row])
        candidates = candidates - {row}
        seen = seen | {row}
    return found
