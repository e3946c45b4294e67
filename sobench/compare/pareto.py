"""Which rows are worth their cost."""

from __future__ import annotations

from collections.abc import Mapping


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The rows that no other one beats, from the cheapest on.

    A row is beaten by one that costs no more and scores no less, and is better in one of the two.

    Args:
        points: label -> cost (lower is better), score (higher is better).
    """
    front: list[str] = []
    # Of equal costs, the best score comes first.
    for label in sorted(points, key=lambda name: (points[name][0], -points[name][1])):
        if (
            not front
            or points[label][1] > points[front[-1]][1]
            or points[label] == points[front[-1]]
        ):
            front.append(label)
    return front
