"""What the results of a suite say: intervals, differences of all pairs, and tiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from sobench.compare.intervals import Difference, Estimate, Sample, compare
from sobench.compare.tiers import ALPHA, RULE, tiers
from sobench.runs.gathered import Results
from sobench.runs.state import States
from sobench.suite.plan import Run

if TYPE_CHECKING:
    from sobench.compare.samples import Samples


@dataclass(frozen=True)
class Verdict:
    """How sure the numbers of a suite are.

    Metrics are named as in ``score_metrics``, and those of a class ``AP:<class>``,
    ``AP50:<class>``, ``AP75:<class>`` and ``AR:<class>``.

    Attributes:
        metrics: all names; the first one ranks.
        labels: the rows that are tested, best first, undefined ones last.
        estimates: label -> metric -> the mean over seeds and its interval.
        pairs: (label, label), the better one first -> metric -> the first minus the second, with
            Holm's correction over all pairs of this metric.
        tiers: label -> the tiers that it is in, from 1; none for a row without a defined value.
        untested: label -> why it has no intervals.
        rule: how tiers are made, and what the intervals are, line by line.
        notes: cautions.
    """

    metrics: tuple[str, ...]
    labels: tuple[str, ...]
    estimates: dict[str, dict[str, Estimate]]
    pairs: dict[tuple[str, str], dict[str, Difference]]
    tiers: dict[str, tuple[int, ...]]
    untested: dict[str, str]
    rule: tuple[str, ...]
    notes: tuple[str, ...]

    def difference(self, first: str, second: str, metric: str) -> Difference:
        """``first`` minus ``second``, in whichever order they are stored."""
        if found := self.pairs.get((first, second)):
            return found[metric]
        return self.pairs[second, first][metric].reversed()


def verdict(runs: Sequence[Run], states: States, results: Results) -> Verdict:
    """The verdict on the rows of a plan, from their records and what is kept beside them.

    A row without the matches of all its results is named in ``untested``, with the way to get
    them; so is one that was evaluated on other images than most.
    """
    from sobench.compare.samples import collect  # here, since a kept verdict does without

    samples, untested = collect(runs, states, results)
    return judge(samples, untested)


def judge(samples: Mapping[str, Samples], untested: Mapping[str, str] | None = None) -> Verdict:
    """The verdict on rows, given as label -> metric -> sample.

    All rows have the same metrics, in the order of the table; the first one ranks. Equal values
    are in the order of the labels, so that the order of the rows in a suite does not matter.
    """
    metrics = tuple(next(iter(samples.values()), {}))
    labels = sorted(samples, key=lambda label: (-_worth(samples[label][metrics[0]]), label))
    pairs = list(combinations(labels, 2))
    estimates: dict[str, dict[str, Estimate]] = {label: {} for label in labels}
    differences: dict[tuple[str, str], dict[str, Difference]] = {pair: {} for pair in pairs}
    for name in metrics:
        of_rows, of_pairs = compare([samples[label][name] for label in labels])
        for label, found in zip(labels, of_rows, strict=True):
            estimates[label][name] = found
        for pair, difference in zip(pairs, of_pairs, strict=True):
            differences[pair][name] = difference
    return Verdict(
        metrics=metrics,
        labels=tuple(labels),
        estimates=estimates,
        pairs=differences,
        tiers=_tiers(labels, metrics, estimates, differences),
        untested=dict(untested or {}),
        rule=_rule(metrics, samples),
        notes=_notes(samples, untested or {}),
    )


def _worth(sample: Sample) -> float:
    """The mean of the seeds that are defined; less than any metric if none is."""
    defined = sample.values[~np.isnan(sample.values)]
    return float(defined.mean()) if len(defined) else -1.0


def _tiers(
    labels: Sequence[str],
    metrics: Sequence[str],
    estimates: Mapping[str, Mapping[str, Estimate]],
    differences: Mapping[tuple[str, str], Mapping[str, Difference]],
) -> dict[str, tuple[int, ...]]:
    ranked = [label for label in labels if not np.isnan(estimates[label][metrics[0]].mean)]
    apart = {
        (i, j)
        for i, j in combinations(range(len(ranked)), 2)
        if differences[ranked[i], ranked[j]][metrics[0]].adjusted < ALPHA
    }
    found = dict(zip(ranked, tiers(len(ranked), apart), strict=True))
    return {label: found.get(label, ()) for label in labels}


def _rule(metrics: Sequence[str], samples: Mapping[str, Samples]) -> tuple[str, ...]:
    if not samples:
        return ()
    first = [of_row[metrics[0]] for of_row in samples.values()]
    several = any(len(sample.values) > 1 for sample in first)
    what = "images and trainings" if several else "images"
    resamples, images = first[0].draws.shape[1], first[0].images
    count = "1 image" if images == 1 else f"{images} images"
    return (
        RULE.format(metric=metrics[0]),
        f"95 % intervals: over {what}, from {resamples} resamples of {count}, "
        "the same for all rows",
    )


def _notes(samples: Mapping[str, Samples], untested: Mapping[str, str]) -> tuple[str, ...]:
    seeds = {len(next(iter(of_row.values())).values) for of_row in samples.values()}
    notes = []
    if seeds == {1}:
        notes.append("one seed: training noise is not in the intervals and tiers")
    elif len(seeds) > 1:
        lent = "; where it is 1, training noise is taken from the other rows" if 1 in seeds else ""
        notes.append(f"rows have different numbers of seeds{lent}")
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for label, reason in untested.items():
        reasons[reason].append(label)
    for reason, of_rows in reasons.items():
        notes.append(f"no interval and no tier: {', '.join(of_rows)}: {reason}")
    return tuple(notes)
