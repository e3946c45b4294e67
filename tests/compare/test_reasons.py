"""What is left out, in few lines."""

from __future__ import annotations

from sobench.compare.reasons import by_reason, runs_by_reason


def test_names_of_one_reason_share_a_line() -> None:
    assert by_reason({"a": "late", "b": "lost", "c": "late"}) == ["late: a, c", "lost: b"]


def test_rows_share_a_line_if_the_same_seeds_have_the_same_reason() -> None:
    left_out = {
        f"{label} seed {seed}": "not run yet" for seed in (0, 1) for label in ("ssd", "a b")
    }
    left_out |= {"fpn seed 1": "not run yet", "fpn seed 2": "failed: no luck"}
    left_out |= {"my seed 7 seed 0": "not run yet"}
    assert runs_by_reason(left_out) == [
        "ssd, a b seeds 0, 1: not run yet",
        "fpn seed 1: not run yet",
        "fpn seed 2: failed: no luck",
        "my seed 7 seed 0: not run yet",
    ]
