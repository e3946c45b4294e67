"""What a campaign found: how many cases, how each ended, and how to repeat those that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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


def table(all_counts: Iterable[Counts]) -> str:
    """A Markdown table: campaign, cases, outcomes, failures."""
    rows = ["| campaign | cases | outcomes | failures |", "|---|---|---|---|"]
    for counts in all_counts:
        outcomes = ", ".join(f"{number} {name}" for name, number in counts.outcomes.most_common())
        rows.append(f"| {counts.title} | {counts.cases} | {outcomes} | {len(counts.failures)} |")
    return "\n".join(rows)
