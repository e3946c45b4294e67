from __future__ import annotations

from sobench.compare.pareto import pareto_front


def test_only_rows_that_none_beats_are_on_the_front() -> None:
    points = {
        "cheap": (1.0, 0.2),
        "dear": (3.0, 0.5),
        "beaten": (2.0, 0.2),
        "worse": (1.0, 0.1),
        "good": (2.0, 0.4),
    }
    assert pareto_front(points) == ["cheap", "good", "dear"]


def test_rows_alike_are_both_on_it() -> None:
    assert pareto_front({"a": (1.0, 0.5), "b": (1.0, 0.5), "c": (2.0, 0.5)}) == ["a", "b"]
    assert pareto_front({}) == []
