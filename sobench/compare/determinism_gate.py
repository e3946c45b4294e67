"""Whether a training begins as the recorded one of the same seed did, loss by loss.

The loss of the first step follows from initial weights, images, anchors and matching alone, so any
machine gives it to a few digits. The losses after it repeat exactly on the same processor with the
same packages and threads, and drift apart elsewhere. There all that the training comes to repeats
too, so a mistake in what follows the training shows, however small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sobench.compare.baseline import Machine, SeedResult
from sobench.compare.cost_gate import Rows
from sobench.compare.findings import Finding

SAME_MACHINE = 1e-6
"""Relative difference of any of the first losses on one machine; rounding is below it."""

ANY_MACHINE = 0.01
"""Relative difference of the loss of the first step between any two machines."""


def determinism_findings(
    rows: Rows, then: Sequence[Machine], now: Sequence[Machine]
) -> list[Finding]:
    """One finding for each row and each seed that both sides have."""
    findings = []
    for label, (recorded, new) in rows.items():
        of_seed = {result.seed: result for result in recorded}
        common = [(of_seed[result.seed], result) for result in new if result.seed in of_seed]
        for before, after in common:
            on_same = then[before.machine].calculates_as(now[after.machine])
            begins = _compare(label, before, after, on_same)
            findings.append(begins)
            if on_same and begins.verdict == "pass":
                findings += _outcomes(label, before, after)
        if not common:
            told = "no seed of the baseline"
            findings.append(
                Finding(label, "determinism", "first losses", "not compared", told=told)
            )
    return findings


def _compare(label: str, before: SeedResult, after: SeedResult, on_same: bool) -> Finding:
    losses = list(zip(before.first_losses, after.first_losses, strict=False))
    metric = "first losses" if on_same else "loss of step 1"
    if not losses:
        told = "not recorded by an earlier version"
        return Finding(label, "determinism", metric, "not compared", told=told)
    if not on_same:
        losses = losses[:1]
    limit = SAME_MACHINE if on_same else ANY_MACHINE
    told = f"seed {after.seed}"
    if not on_same:
        told += "; the steps after it are not compared: other packages, processor or threads"
    for step, (one, other) in enumerate(losses, 1):
        if not math.isclose(one, other, rel_tol=limit):
            told = f"seed {after.seed}, step {step} is the first to differ; {_MEANT}"
            return Finding(
                label, "determinism", metric, "changed", one, other, 1 + limit, None, True, told
            )
    one, other = losses[-1]
    return Finding(label, "determinism", metric, "pass", one, other, 1 + limit, None, True, told)


def _outcomes(label: str, before: SeedResult, after: SeedResult) -> list[Finding]:
    """The last loss, the ranking metric and the number of detections of two equal trainings."""
    ranking = next(iter(before.metrics), "AP")
    pairs = {
        "loss": (before.losses.get("total"), after.losses.get("total")),
        ranking: (before.metrics.get(ranking), after.metrics.get(ranking)),
        "detections": (float(before.detections), float(after.detections)),
    }
    findings = []
    for name, (one, other) in pairs.items():
        if one is None or other is None:
            continue
        repeats = math.isclose(one, other, rel_tol=SAME_MACHINE)
        told = f"seed {after.seed}" if repeats else f"seed {after.seed}; {_MEANT}"
        findings.append(
            Finding(
                label, "determinism", f"{name} of the same seed", "pass" if repeats else "changed",
                one, other, 1 + SAME_MACHINE, None, True, told,
            )
        )  # fmt: skip
    return findings


_MEANT = "if trainings are meant to differ, record the baseline anew"
