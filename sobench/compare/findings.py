"""What a check of a suite against its baseline found, test by test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Part = Literal["run", "accuracy", "cost", "determinism"]

Verdict = Literal[
    "worse", "changed", "diverged", "failed", "missing", "better", "pass", "too coarse",
    "not compared",
]  # fmt: skip

FAILING: tuple[Verdict, ...] = ("failed", "diverged", "missing", "worse", "changed")
"""Verdicts of a regression, in the order in which they are shown."""

MEASURED: tuple[Verdict, ...] = ("worse", "changed", "better", "pass")
"""Verdicts of tests that could have failed."""

ALL_ROWS = "(all rows)"
"""Stands for the mean over the rows, where a label would stand."""


@dataclass(frozen=True)
class Finding:
    """One test of a row.

    Attributes:
        row: its label, or ``ALL_ROWS``.
        metric: such as ``AP``, ``parameters`` or ``first losses``.
        baseline, now: the values that were compared, if there are any.
        tolerance: the largest difference that passes, of ``now`` to ``baseline``.
        detectable: the smallest difference that would be found nine times in ten.
        relative: whether these two are factors, such as 1.3 for 30 % more or less.
        told: why, or a remark.
    """

    row: str
    part: Part
    metric: str
    verdict: Verdict
    baseline: float | None = None
    now: float | None = None
    tolerance: float | None = None
    detectable: float | None = None
    relative: bool = False
    told: str = ""

    @property
    def fails(self) -> bool:
        """Whether it is a regression."""
        return self.verdict in FAILING


@dataclass(frozen=True)
class Regression:
    """A suite beside its baseline.

    Attributes:
        suite: its name.
        title: for people.
        findings: failing ones first.
        provenance: line by line, what was compared with what.
        notes: cautions.
    """

    suite: str
    title: str
    findings: tuple[Finding, ...]
    provenance: dict[str, str]
    notes: tuple[str, ...]

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The regressions."""
        return tuple(finding for finding in self.findings if finding.fails)

    def of_part(self, part: Part) -> tuple[Finding, ...]:
        """The findings of a part."""
        return tuple(finding for finding in self.findings if finding.part == part)


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Failing ones first; apart from that as they are."""
    last = len(FAILING)
    return tuple(sorted(findings, key=lambda f: FAILING.index(f.verdict) if f.fails else last))
