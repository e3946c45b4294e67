"""What runs left behind -> the samples that a verdict is made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sobench.compare.intervals import FloatArray, Sample
from sobench.compare.resampled import resampled_of
from sobench.metrics.scores import Scores
from sobench.metrics.table import class_metrics, score_metrics
from sobench.metrics.weighted import Weighted
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results
from sobench.runs.matches import why_unmatched
from sobench.runs.search import folder_of
from sobench.runs.state import States
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

OTHER_IMAGES = "it was evaluated on other images than most rows"

Samples = Mapping[str, Sample]
"""Of one row: name of a metric -> its values and their resamples."""


@dataclass(frozen=True)
class _Result:
    """What one run of a row left behind."""

    scores: Scores
    resampled: Weighted
    images: tuple[str, int]  # the state of the data, and their number


def collect(
    runs: Sequence[Run], states: States, results: Results
) -> tuple[dict[str, dict[str, Sample]], dict[str, str]]:
    """Label -> metric -> sample of the rows that can be tested, and why the others cannot."""
    found: defaultdict[str, list[_Result]] = defaultdict(list)
    untested: dict[str, str] = {}
    for run in runs:
        record, scores = states[run.settings_id].record, states[run.settings_id].scores
        if record is None or scores is None:
            continue
        folder = RunFolder(folder_of(run, results, record.data))
        resampled = resampled_of(run, folder, record)
        if resampled is None:
            untested[run.entry.label] = why_unmatched(folder, record)
            continue
        images = (record.data, resampled.images)
        found[run.entry.label].append(_Result(scores, resampled, images))
    # Resamples are paired only if they are of the same images.
    of_rows = {label: of_row for label, of_row in found.items() if label not in untested}
    counts = Counter(result.images for of_row in of_rows.values() for result in of_row)
    usual = max(counts, key=lambda images: (counts[images], images), default=None)
    samples: dict[str, dict[str, Sample]] = {}
    for label, of_row in of_rows.items():
        if any(result.images != usual for result in of_row):
            untested[label] = OTHER_IMAGES
        else:
            samples[label] = _samples(of_row)
    return samples, untested


def _samples(of_row: Sequence[_Result]) -> dict[str, Sample]:
    """The samples of one row, from what each of its seeds left behind."""
    first = of_row[0]
    protocol = PROTOCOLS[first.scores.protocol]
    samples = {}
    for metric in score_metrics(protocol):
        values = [result.scores.metrics.get(metric.name) for result in of_row]
        draws = np.stack([result.resampled.metrics[metric.name] for result in of_row])
        holding = first.resampled.holding[metric.name]
        samples[metric.name] = Sample(_defined(values), draws, first.images[1], holding)
    for quantity in class_metrics(protocol):
        for index, name in enumerate(first.scores.per_class):
            values = [result.scores.per_class[name].get(quantity) for result in of_row]
            draws = np.stack([result.resampled.per_class[quantity][:, index] for result in of_row])
            holding = int(first.resampled.class_holding[index])
            sample = Sample(_defined(values), draws, first.images[1], holding)
            samples[f"{quantity}:{name}"] = sample
    return samples


def _defined(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
