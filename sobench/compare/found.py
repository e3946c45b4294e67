"""Who finds what: for two rows, the objects that both find, one finds, or neither.

An object is found by a run if a detection of its class takes it at an IoU of .5 or more, and has at
least the score at which the F1 of the run is highest. So every run is read at its own best score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sobench.compare.remarks import NOT_RUN
from sobench.errors import NothingToCompare
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results, clashes_of, exist
from sobench.runs.search import choose_data, folder_of, search
from sobench.runs.state import States, read_states
from sobench.suite.external import external_labels
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS, Protocol

if TYPE_CHECKING:
    from sobench.metrics.matches import Matches

BoolArray = NDArray[np.bool_]

_ALL_AREAS, _IOU_50 = 0, 0
"""Positions in ``Matches.outcome``."""


@dataclass(frozen=True)
class BestScore:
    """The score from which on the detections of a run count.

    Attributes:
        score: the one with the highest F1; ``None`` if no detection is a true positive.
        f1, precision, recall: at it, over all classes, IoU .5; 0 without a true positive.
    """

    score: float | None
    f1: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Counts:
    """Numbers of objects; means over seeds.

    Attributes:
        both, first, second, neither: found by both rows, by one of them alone, by none.
    """

    both: float
    first: float
    second: float
    neither: float

    @property
    def objects(self) -> float:
        """All of them."""
        return self.both + self.first + self.second + self.neither


@dataclass(frozen=True)
class FoundPair:
    """Who of two rows finds what.

    Attributes:
        first, second: labels.
        seeds: those that both rows have; their runs are compared seed by seed.
        total: over all objects.
        by_size: size bin of the protocol -> counts. An object whose area is where two bins meet
            is in both, as it is in the metrics.
        by_class: class -> counts.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    total: Counts
    by_size: dict[str, Counts]
    by_class: dict[str, Counts]


@dataclass(frozen=True)
class Found:
    """Who finds what, over all pairs of rows of a suite.

    Attributes:
        title: of the suite.
        protocol: name and version.
        objects: that count.
        images: of the split.
        scores: label -> seed -> the score from which on its detections count.
        pairs: in the order of the rows.
        missing: what cannot be compared, with the reason.
        notes: cautions.
        external: labels of the rows whose detections were made elsewhere.
    """

    title: str
    protocol: str
    objects: int
    images: int
    scores: dict[str, dict[int, BestScore]]
    pairs: tuple[FoundPair, ...]
    missing: dict[str, str]
    notes: tuple[str, ...] = ()
    external: tuple[str, ...] = ()


def found_in(runs: Sequence[Run], results: Results, data: str = "") -> Found:
    """Who finds what, from the matches that lie beside the records of a plan.

    Args:
        results: folder of all results.
        data: how the fingerprint of the data begins, as for ``leaderboard``.

    Raises:
        NothingToCompare: fewer than two rows have matches over the same objects.
        RequestError: no state of the data is as asked for, or several have the most results.
    """
    suite = runs[0].suite
    choice = choose_data(search(runs, results), data)
    states = read_states(runs, results, choice.data)
    rows, missing = matched_rows(runs, states, results, choice.data)
    partial = sorted({reason for run in runs for reason in run.partial})
    notes = (f"PARTIAL RESULT ({'; '.join(partial)}): not comparable with the full suite",)
    found = who_finds_what(suite.title or suite.name, PROTOCOLS[suite.protocol], rows, missing)
    if not found.pairs:
        counts = Counter(found.missing.values())
        reasons = "; ".join(
            f"{number} {'run' if number == 1 else 'runs'}: {reason}"
            for reason, number in counts.items()
        )
        where = "" if exist(results) else f"\n{results}: no such folder; see --results"
        raise NothingToCompare(
            f"{suite.name}: who finds what needs matches of two rows ({reasons}){where}"
        )
    told = (*clashes_of(results), *filter(None, [choice.note]))
    return replace(found, notes=told + (notes if partial else ()), external=external_labels(runs))


def matched_rows(
    runs: Sequence[Run], states: States, results: Results, data: str
) -> tuple[dict[str, dict[int, Matches]], dict[str, str]]:
    """Label -> seed -> matches of the runs that have them, and why others have none.

    Args:
        states: of the runs on this state of the data.
        results: folder of all results.
        data: fingerprint of the data.
    """
    from sobench.runs.matches import matches_of, why_unmatched

    rows: dict[str, dict[int, Matches]] = {run.entry.label: {} for run in runs}
    missing = {}
    for run in runs:
        state = states[run.settings_id]
        if state.record is not None and state.scores:
            folder = RunFolder(folder_of(run, results, data))
            matches = matches_of(run, folder, state.record)
            if matches is not None:
                rows[run.entry.label][run.seed] = matches
            else:
                missing[run.name] = why_unmatched(folder, state.record)
        else:
            is_new = state.name == "missing" and not state.reason
            name = NOT_RUN if is_new else state.name
            missing[run.name] = ": ".join(filter(None, (name, state.reason)))
    return {label: of_row for label, of_row in rows.items() if of_row}, missing


def best_score(matches: Matches) -> BestScore:
    """The score with the highest F1 = 2TP / (2TP + FP + FN) over all classes, at an IoU of .5.

    Detections of equal score count together; of equal F1 the higher score is taken. Detections of
    ignored objects are neither true nor false.
    """
    outcome = matches.outcome[_ALL_AREAS, _IOU_50]
    counted = outcome >= 0
    order = np.argsort(-matches.score[counted], kind="stable")
    scores, true = matches.score[counted][order], outcome[counted][order] == 1
    last = np.flatnonzero(np.diff(scores, append=-np.inf))
    positives, detections = np.cumsum(true)[last], last + 1
    objects = len(matches.object_image)
    if not true.any():
        return BestScore(None, 0.0, 0.0, 0.0)
    # 2TP + FP + FN is the number of detections and that of objects.
    f1 = 2 * positives / (detections + objects)
    best = int(np.argmax(f1))
    precision, recall = positives[best] / detections[best], positives[best] / objects
    return BestScore(float(scores[last[best]]), float(f1[best]), float(precision), float(recall))


def found_objects(matches: Matches, score: float | None) -> BoolArray:
    """Which objects ``[G]`` are found by detections of this score or a higher one."""
    found = np.zeros(len(matches.object_image), dtype=np.bool_)
    if score is not None:
        found[matches.found[(matches.found >= 0) & (matches.score >= score)]] = True
    return found


def who_finds_what(
    title: str,
    protocol: Protocol,
    rows: Mapping[str, Mapping[int, Matches]],
    missing: Mapping[str, str],
) -> Found:
    """Count for each pair of rows, seed by seed, over the same objects.

    Args:
        title: of the suite.
        protocol: by which all of them were matched.
        rows: label -> seed -> matches.
        missing: runs that are left out already, with the reason.
    """
    scores = {
        label: {seed: best_score(matches) for seed, matches in of_row.items()}
        for label, of_row in rows.items()
    }
    found = _found(rows, scores)
    pairs, problems = [], dict(missing)
    for first, second in combinations(rows, 2):
        name = f"{first} and {second}"
        seeds = tuple(seed for seed in rows[first] if seed in rows[second])
        if not seeds:
            problems[name] = "no seed that both have"
        elif not all(same_objects(rows[first][s], rows[second][s]) for s in seeds):
            problems[name] = "not the same objects"
        else:
            pairs.append(_pair(first, second, seeds, rows[first], found, protocol))
    example = next((matches for of_row in rows.values() for matches in of_row.values()), None)
    return Found(
        title=title,
        protocol=f"{protocol.name} v{protocol.version}",
        objects=len(example.object_image) if example else 0,
        images=len(example.image_ids) if example else 0,
        scores=scores,
        pairs=tuple(pairs),
        missing=problems,
    )


def _found(
    rows: Mapping[str, Mapping[int, Matches]], scores: Mapping[str, Mapping[int, BestScore]]
) -> dict[str, dict[int, BoolArray]]:
    """Label -> seed -> which objects are found."""
    return {
        label: {seed: found_objects(m, scores[label][seed].score) for seed, m in of_row.items()}
        for label, of_row in rows.items()
    }


def same_objects(a: Matches, b: Matches) -> bool:
    """Whether two runs met the same objects of the same images."""
    columns = ("image_ids", "object_image", "object_label", "object_area")
    return a.classes == b.classes and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in columns
    )


def _pair(
    first: str,
    second: str,
    seeds: Sequence[int],
    matches: Mapping[int, Matches],
    found: Mapping[str, Mapping[int, BoolArray]],
    protocol: Protocol,
) -> FoundPair:
    """The counts of two rows, of all objects and of parts of them."""
    example = matches[seeds[0]]
    everything = np.ones(len(example.object_image), dtype=np.bool_)

    def counts(part: BoolArray) -> Counts:
        by_seed = [(found[first][seed][part], found[second][seed][part]) for seed in seeds]
        ways = [(a & b, a & ~b, ~a & b, ~a & ~b) for a, b in by_seed]
        return Counts(
            *(float(np.mean([way.sum() for way in column])) for column in zip(*ways, strict=True))
        )

    area = example.object_area
    return FoundPair(
        first=first,
        second=second,
        seeds=tuple(seeds),
        total=counts(everything),
        by_size={
            name: counts((area >= low) & (area <= high))
            for name, (low, high) in protocol.bins.items()
        },
        by_class={
            name: counts(example.object_label == label)
            for label, name in enumerate(example.classes)
        },
    )
