"""The metrics of rows on two sides -> their differences with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from sobench.compare import intervals
from sobench.compare.bootstrap import draw_weights, resample
from sobench.compare.intervals import Difference, Sample
from sobench.compare.resampled import resampled_of
from sobench.compare.sides import Outcome
from sobench.metrics.weighted import Weighted

Pair = tuple[Mapping[int, Outcome], Mapping[int, Outcome]]
"""A row of A and B: seed -> outcome."""


@dataclass(frozen=True)
class MetricPair:
    """One metric of one row.

    Attributes:
        a, b: means over the seeds of each side; NaN if undefined.
        difference: B - A; its interval is NaN if matches are not kept.
    """

    a: float
    b: float
    difference: Difference


def are_paired(a: Mapping[int, Outcome], b: Mapping[int, Outcome]) -> bool | None:
    """Whether both are tested on the same images, by their ids and the data's fingerprint."""
    outcomes = [*a.values(), *b.values()]
    matches = [outcome.matches for outcome in outcomes if outcome.matches is not None]
    if len(matches) < len(outcomes):
        return None
    ids = matches[0].image_ids
    return len({outcome.record.data for outcome in outcomes}) == 1 and all(
        np.array_equal(of_run.image_ids, ids) for of_run in matches
    )


def are_same(a: Mapping[int, Outcome], b: Mapping[int, Outcome]) -> bool:
    """Whether both hold the same numbers, seed by seed."""
    return a.keys() == b.keys() and all(
        a[seed].scores.metrics == b[seed].scores.metrics for seed in a
    )


def differences_of(
    shared: Sequence[Pair],
    paired: Sequence[bool | None],
    metrics: Sequence[str],
) -> list[dict[str, MetricPair]]:
    """B - A of each row and metric, with Holm's correction over the rows of a metric."""
    drawn = [
        i
        for i, is_paired in enumerate(paired)
        if is_paired is not None and not are_same(*shared[i])
    ]
    samples = []
    for i in drawn:
        a, b = shared[i]
        # A difference is that of the first and the second. Other draws of B make the two
        # independent.
        samples += [_samples(b, metrics, 0 if paired[i] else 1), _samples(a, metrics, 0)]
    rows = [{metric: _without_interval(*pair, metric) for metric in metrics} for pair in shared]
    for metric in metrics:
        # The noise of seeds is learnt from all rows together.
        of_metric = [of_row[metric] for of_row in samples]
        own = [(2 * n, 2 * n + 1) for n in range(len(drawn))]
        for i, found in zip(drawn, intervals.compare(of_metric, own)[1], strict=True):
            rows[i][metric] = replace(rows[i][metric], difference=found)
    return rows


def _without_interval(
    a: Mapping[int, Outcome], b: Mapping[int, Outcome], metric: str
) -> MetricPair:
    """The means of a metric, and their difference alone."""
    first, second = _mean(a, metric), _mean(b, metric)
    nan, seeds = float("nan"), min(len(a), len(b))
    if are_same(a, b):
        return MetricPair(first, second, Difference(0.0, None, 0.0, nan, 0.0, 0.0, seeds, 1.0))
    return MetricPair(
        first, second, Difference(second - first, None, nan, nan, nan, nan, seeds, nan)
    )


def _mean(outcomes: Mapping[int, Outcome], metric: str) -> float:
    values = [outcome.scores.metrics.get(metric) for outcome in outcomes.values()]
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else float("nan")


def _samples(
    outcomes: Mapping[int, Outcome], metrics: Sequence[str], draws: int
) -> dict[str, Sample]:
    """Each metric of a row, over its seeds and over images that the seed ``draws`` resamples."""
    resampled = [_resampled(outcome, draws) for outcome in outcomes.values()]
    first = next(iter(outcomes.values())).matches
    images = 0 if first is None else len(first.image_ids)
    scores = [outcome.scores.metrics for outcome in outcomes.values()]
    return {
        metric: Sample(
            np.array([_or_nan(of_run.get(metric)) for of_run in scores]),
            np.array([of_run.metrics[metric] for of_run in resampled]),
            images,
            resampled[0].holding[metric],
        )
        for metric in metrics
    }


def _resampled(outcome: Outcome, draws: int) -> Weighted:
    """The metrics of a run in each resample; those of the usual draws are kept beside it."""
    kept = None if draws else resampled_of(outcome.run, outcome.folder, outcome.record)
    if kept is not None:
        return kept
    assert outcome.matches is not None
    return resample(outcome.matches, draw_weights(len(outcome.matches.image_ids), seed=draws))


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
