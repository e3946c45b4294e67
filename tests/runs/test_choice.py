"""Which run a free process takes next."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sobench.runs.choice import next_run, pause_seconds


@dataclass(frozen=True)
class Due:
    id: str
    builds_on: tuple[str, ...] = ()


TEACHER = Due("teacher")
STUDENT = Due("student", ("teacher",))
THIRD = Due("third", ("student",))
OTHER = Due("other")


@pytest.mark.parametrize(
    ("waiting", "held", "expected"),
    [
        pytest.param([TEACHER, STUDENT, OTHER], set(), TEACHER, id="the first one"),
        pytest.param([STUDENT, OTHER], set(), STUDENT, id="its requirement is done"),
        pytest.param([TEACHER, STUDENT, OTHER], {"teacher"}, OTHER, id="requirement is held"),
        pytest.param(
            [TEACHER, STUDENT, THIRD, OTHER], {"teacher"}, OTHER, id="held at two removes"
        ),
        pytest.param([TEACHER, STUDENT], {"student"}, TEACHER, id="only a dependant is held"),
        pytest.param([TEACHER, STUDENT], {"teacher"}, None, id="all have to wait"),
        pytest.param([], set(), None, id="nothing is left"),
    ],
)
def test_the_first_run_that_can_be_tried_is_taken(
    waiting: list[Due], held: set[str], expected: Due | None
) -> None:
    assert next_run(waiting, held) is expected


def test_a_pause_is_a_twentieth_of_the_wait_within_a_second_and_a_minute() -> None:
    assert [pause_seconds(waited) for waited in (0, 20, 100, 1200, 1e6)] == [1, 1, 5, 60, 60]
