"""What a campaign found: how many cases, how each ended, and how to repeat those that failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass
class Counts:
    """The cases of a campaign by their outcome; counts of two workers can be added.

    Attributes:
        title: of the campaign, in a few words.
        cases: tried so far.
        outcomes: outcome -> cases; a case may have several, such as its kills.
        failures: a line for each, with the seed and a way to repeat it.
    """

    title: str
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, *outcomes: str, failure: str = "") -> None:
        """Count a case."""
        self.cases += 1
        self.outcomes.update(outcomes)
        self.failures += [failure] if failure else []

    def __add__(self, other: Counts) -> Counts:
        if self.title != other.title:
            raise ValueError(f"counts of {self.title} and of {other.title} do not add up")
        return Counts(
            self.title,
            self.cases + other.cases,
            self.outcomes + other.outcomes,
            self.failures + other.failures,
        )


def repeated(title: str, seed: int, seconds: float, case: Callable[[int, Counts], None]) -> Counts:
    """Try one case after the other until the time is over, at least one.

    Every case has a seed of its own, counted up from ``seed``, so that it can be tried alone.
    """
    counts, end = Counts(title), time.monotonic() + seconds
    while True:
        case(seed, counts)
        seed += 1
        if time.monotonic() >= end:
            return counts


def failure(name: str, seed: int, problem: str) -> str:
    """What went wrong, and the command that tries the same case again."""
    return f"{problem}; again: python -m tests.campaigns --only {name} --seed {seed} --minutes 0"


def table(all_counts: Iterable[Counts]) -> str:
    """A Markdown table: campaign, cases, outcomes, failures."""
    rows = ["| campaign | cases | outcomes | failures |", "|---|---|---|---|"]
    for counts in all_counts:
        outcomes = ", ".join(f"{number} {name}" for name, number in counts.outcomes.most_common())
        rows.append(f"| {counts.title} | {counts.cases} | {outcomes} | {len(counts.failures)} |")
    return "\n".join(rows)
