"""Learning curves: loss and AP of each row, averaged over its seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sobench.runs.record import Record

Points = tuple[tuple[int, float], ...]
"""Training step and value, by rising step."""


@dataclass(frozen=True)
class LearningCurve:
    """One row.

    Attributes:
        loss: the mean total loss of each epoch, at its last step.
        ap: AP on the val images where it was computed; empty if it never was.
    """

    loss: Points
    ap: Points


def learning_curves(records: Mapping[str, Sequence[Record]]) -> dict[str, LearningCurve]:
    """Label -> its curve, of the rows whose records hold any epoch."""
    curves = {}
    for label, of_row in records.items():
        epochs = [epoch for outcome in of_row for epoch in outcome.history]
        if epochs:
            curves[label] = LearningCurve(
                loss=_means((e.step, e.losses.get("total")) for e in epochs),
                ap=_means((e.step, e.ap) for e in epochs),
            )
    return curves


def _means(points: Iterable[tuple[int, float | None]]) -> Points:
    values: defaultdict[int, list[float]] = defaultdict(list)
    for step, value in points:
        if value is not None:
            values[step].append(value)
    return tuple((step, sum(v) / len(v)) for step, v in sorted(values.items()))
