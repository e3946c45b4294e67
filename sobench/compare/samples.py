"""What runs left behind -> the samples that a verdict is made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sobench.compare.bootstrap import Resampled
from sobench.compare.intervals import FloatArray, Sample
from sobench.compare.resampled import resample_once
from sobench.metrics.matches import Matches
from sobench.metrics.scores import Scores
from sobench.metrics.table import score_metrics
from sobench.runs.folder import RunFolder
from sobench.runs.matches import matches_of
from sobench.runs.search import folder_of
from sobench.runs.state import States
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

PER_CLASS = ("AP", "AP50", "AP75", "AR")

UNMATCHED = "the matches of its detections are missing; `sobench run` makes them, without training"
OTHER_IMAGES = "it was evaluated on other images than most rows"

Samples = Mapping[str, Sample]
"""Of one row: name of a metric -> its values and their resamples."""


def collect(
    runs: Sequence[Run], states: States, results: Path
) -> tuple[dict[str, dict[str, Sample]], dict[str, str]]:
    """Label -> metric -> sample of the rows that can be tested, and why the others cannot."""
    found: defaultdict[str, list[tuple[Scores, Matches, RunFolder]]] = defaultdict(list)
    untested: dict[str, str] = {}
    for run in runs:
        state, label = states[run.settings_id], run.entry.label
        if state.record is None or state.scores is None:
            continue
        folder = RunFolder(folder_of(run, results, state.record.data), run.suite.input.size)
        matches = matches_of(run, folder, state.record)
        if matches is None:
            untested[label] = UNMATCHED
            continue
        found[label].append((state.scores, matches, folder))
    images = Counter(
        tuple(matches.image_ids.tolist())
        for label, of_row in found.items()
        for _, matches, _ in of_row
        if label not in untested
    )
    usual = images.most_common(1)[0][0] if images else ()
    samples: dict[str, dict[str, Sample]] = {}
    for label, of_row in found.items():
        if any(tuple(matches.image_ids.tolist()) != usual for _, matches, _ in of_row):
            untested.setdefault(label, OTHER_IMAGES)
        if label not in untested:
            names = [metric.name for metric in score_metrics(PROTOCOLS[of_row[0][1].protocol])]
            resampled = [resample_once(folder, matches) for _, matches, folder in of_row]
            scores = [scored for scored, _, _ in of_row]
            samples[label] = _samples(names, of_row[0][1].classes, scores, resampled, len(usual))
    return samples, untested


def _samples(
    names: Sequence[str],
    classes: Sequence[str],
    scores: Sequence[Scores],
    resampled: Sequence[Resampled],
    images: int,
) -> dict[str, Sample]:
    """The samples of one row, from the scores and resamples of each of its seeds."""
    samples = {}
    for name in names:
        values = [scored.metrics.get(name) for scored in scores]
        draws = np.stack([of_seed.metrics[name] for of_seed in resampled])
        samples[name] = Sample(_defined(values), draws, images)
    for quantity in PER_CLASS:
        for index, class_name in enumerate(classes):
            values = [scored.per_class.get(class_name, {}).get(quantity) for scored in scores]
            draws = np.stack([of_seed.per_class[quantity][:, index] for of_seed in resampled])
            samples[f"{quantity}:{class_name}"] = Sample(_defined(values), draws, images)
    return samples


def _defined(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
