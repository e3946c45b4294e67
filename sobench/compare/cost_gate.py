"""Whether a row has become dearer: weights and multiply-adds exactly, training speed loosely.

The speed of a training hangs on what else a machine does. So a row is slower only if it is so by
itself: more than the other rows of the same check, on a machine of the baseline's kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from sobench.compare.baseline import Machine, SeedResult
from sobench.compare.findings import Finding, Verdict

SLOWEST = 0.5
"""Share of the baseline's images a second that a training keeps at the least."""

_MIN_ROWS = 3
"""Fewer rows cannot tell a slow row from a busy machine."""

_SAME = 1e-9
"""Relative difference up to which GFLOPs are equal, which a file has in decimals."""

Rows = Mapping[str, tuple[Sequence[SeedResult], Sequence[SeedResult]]]
"""Label -> the trainings of the baseline, and those of now."""


def cost_findings(rows: Rows, then: Sequence[Machine], now: Sequence[Machine]) -> list[Finding]:
    """Three findings for each row.

    Args:
        then, now: the machines that the trainings of both sides name by their positions.
    """
    findings = []
    for label, (recorded, new) in rows.items():
        for metric in ("parameters", "GFLOPs"):
            findings.append(_exact(label, metric, recorded, new))
    return findings + _speeds(rows, then, now)


def _exact(
    label: str, metric: str, recorded: Sequence[SeedResult], new: Sequence[SeedResult]
) -> Finding:
    def of(results: Sequence[SeedResult]) -> float | None:
        """The first value: the seeds of a row have one network."""
        return float(results[0].parameters) if metric == "parameters" else results[0].gflops

    before, after = of(recorded), of(new)
    if before is None or after is None:
        side = "the baseline" if before is None else "the result"
        return Finding(
            label, "cost", metric, "not compared", before, after, told=f"{side} has none"
        )
    verdict: Verdict = "pass"
    if not math.isclose(before, after, rel_tol=_SAME):
        verdict = "worse" if after > before else "changed"
    return Finding(label, "cost", metric, verdict, before, after, 0.0)


def _speeds(rows: Rows, then: Sequence[Machine], now: Sequence[Machine]) -> list[Finding]:
    findings, speeds = [], {}
    for label, (recorded, new) in rows.items():
        kinds = {now[result.machine].kind() for result in new}
        before = _middle([r for r in recorded if then[r.machine].kind() in kinds])
        after = _middle(new)
        if before and after:
            speeds[label] = before, after
        else:
            why = "another kind of machine" if not before else "the training took no time"
            findings.append(Finding(label, "cost", "images/s", "not compared", told=why))
    ratios = {label: after / before for label, (before, after) in speeds.items()}
    usual = median(ratios.values()) if ratios else 1.0
    # A machine that is faster today is no reason to demand more of a row.
    least = SLOWEST * min(1.0, usual)
    for label, (before, after) in speeds.items():
        verdict: Verdict = "worse" if ratios[label] < least else "pass"
        told = ""
        if len(ratios) < _MIN_ROWS:
            verdict = "pass" if ratios[label] >= SLOWEST else "not compared"
            told = (
                "" if verdict == "pass" else f"too slow, or a busy machine: {_MIN_ROWS} rows tell"
            )
        findings.append(
            Finding(label, "cost", "images/s", verdict, before, after, 1 / least, None, True, told)
        )
    return findings


def _middle(results: Sequence[SeedResult]) -> float | None:
    known = [result.train_images_s for result in results if result.train_images_s]
    return median(known) if known else None
