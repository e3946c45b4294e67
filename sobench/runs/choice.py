"""Which run a free process takes next: one pure function, for processes and their simulation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from typing import Protocol, TypeVar

POLL_SECONDS = 1.0
"""Shortest time between two looks at runs that other processes hold."""

_LONGEST_PAUSE = 60.0


class Candidate(Protocol):
    """A run that is due; ``builds_on`` are the ids of those that must be done before it."""

    @property
    def id(self) -> str:
        """The same in all processes."""

    @property
    def builds_on(self) -> Collection[str]:
        """Empty if it needs none, or has what it needs of them."""


C = TypeVar("C", bound=Candidate)


def next_run(waiting: Iterable[C], held: Set[str]) -> C | None:
    """The first run that this process can try now, or ``None`` if all have to wait for others.

    Args:
        waiting: the runs that this process does not know to be done, each after those that it
            builds on.
        held: ids of runs that others were found to hold since this process last waited.
    """
    blocked: set[str] = set()  # what builds on one of these has to wait as well
    for candidate in waiting:
        if candidate.id in held:
            continue
        if held.isdisjoint(candidate.builds_on) and blocked.isdisjoint(candidate.builds_on):
            return candidate
        blocked.add(candidate.id)
    return None


def pause_seconds(waited: float) -> float:
    """How long a process that has waited so many seconds pauses before it looks again.

    So a run that becomes free is found late by a twentieth of the wait at most, and many processes
    that wait for hours leave the file server alone.
    """
    return min(max(POLL_SECONDS, waited / 20), _LONGEST_PAUSE)
