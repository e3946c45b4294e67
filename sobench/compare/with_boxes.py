"""What only boxes tell: kinds of errors, and images. Needs the data and the stored detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sobench.compare.error_types import Errors, errors_of
from sobench.compare.found import BestScore
from sobench.compare.pictures import Picture, first_shared_seed, pictures
from sobench.data.dataset import Dataset, FloatArray
from sobench.data.fingerprint import fingerprint
from sobench.data.subset import part
from sobench.errors import DataError, RunError
from sobench.metrics.matches import Matches
from sobench.metrics.scoring import matched_boxes
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results
from sobench.runs.matches import stored_detections
from sobench.runs.record import Record
from sobench.runs.search import folder_of
from sobench.runs.splits import load_split, splits_read
from sobench.runs.state import States
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

Matched = Mapping[str, Mapping[int, Matches]]
"""Label -> seed -> matches, all over the same objects."""


@dataclass(frozen=True)
class WithBoxes:
    """What is known of the rows whose boxes are at hand.

    Attributes:
        errors: label -> kind of error -> how much of it there is.
        pictures: the images on which rows differ most.
        seed: whose detections ``pictures`` have.
        notes: what is left out, and why.
    """

    errors: Errors = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    seed: int | None = None
    notes: tuple[str, ...] = ()


def with_boxes(
    runs: Sequence[Run],
    states: States,
    results: Results,
    matched: Matched,
    scores: Mapping[str, Mapping[int, BestScore]],
) -> WithBoxes:
    """Kinds of errors of all runs, and the images on which the rows of one seed differ most.

    Args:
        states: of the runs on one state of the data.
        results: folder of all results.
        matched: what is asked about, one row or more.
        scores: label -> seed -> the score from which detections count.
    """
    outcomes = {
        (run.entry.label, run.seed): (run, outcome)
        for run in runs
        if (outcome := states[run.settings_id].result) is not None
    }
    example = next(iter(outcomes.values()))[1]
    try:
        dataset = _dataset(runs[0], example.data)
        images = _scored_images(dataset, next(iter(next(iter(matched.values())).values())))
    except DataError as error:
        return WithBoxes(notes=(str(error),))
    rows, objects, notes = _rows(outcomes, results, dataset, matched, scores)
    errors = errors_of({label: list(of_row.values()) for label, of_row in rows.items()}, objects)
    told = WithBoxes(errors=errors, notes=tuple(notes))
    seed = first_shared_seed(rows)
    if seed is None or len(rows) < 2:
        return told
    shown, left_out = pictures(
        images, {label: of_row[seed] for label, of_row in rows.items()}, objects
    )
    return replace(told, pictures=tuple(shown), seed=seed, notes=(*notes, *left_out))


def _dataset(run: Run, data: str) -> Dataset:
    """The split that was detected on.

    Raises:
        DataError: it is not at hand, or not what it was.
    """
    dataset = load_split(run, "val")
    now = fingerprint(run.suite.dataset, splits=splits_read(run))
    if now != data:
        raise DataError(
            f"dataset: the data at hand are another state, {now}, than that of the results, {data}"
        )
    return dataset


def _scored_images(dataset: Dataset, matches: Matches) -> Dataset:
    """The images of the matches in their order, of which the protocol may have left some out.

    Raises:
        DataError: one of them is not in the split.
    """
    places = {image.id: place for place, image in enumerate(dataset.images)}
    chosen = [places[number] for number in matches.image_ids.tolist() if number in places]
    if len(chosen) < len(matches.image_ids) or dataset.classes != matches.classes:
        raise DataError("dataset: the images at hand are not those that the rows were scored on")
    return part(dataset, chosen, "scored")


def _rows(
    outcomes: Mapping[tuple[str, int], tuple[Run, Record]],
    results: Results,
    dataset: Dataset,
    matched: Matched,
    scores: Mapping[str, Mapping[int, BestScore]],
) -> tuple[dict[str, dict[int, tuple[Matches, FloatArray, float | None]]], FloatArray, list[str]]:
    """Label -> seed -> matches, boxes and score of the runs whose detections are as scored.

    And the boxes of the objects, which are the same for all of them, and what is left out.
    """
    rows: dict[str, dict[int, tuple[Matches, FloatArray, float | None]]] = {}
    objects, notes = np.empty((0, 4)), []
    for label, of_row in matched.items():
        for seed, matches in of_row.items():
            run, outcome = outcomes[label, seed]
            stored = RunFolder(folder_of(run, results, outcome.data)).detections()
            try:
                detections = stored_detections(stored, matches.detections)
                boxes, objects = matched_boxes(dataset, detections, PROTOCOLS[matches.protocol])
                numbers = len(matches.score), len(matches.object_image)
                if (len(boxes), len(objects)) != numbers:
                    raise DataError("the matches are not of these detections")
            except (RunError, DataError) as error:
                notes.append(f"{run.name}: {error}")
                continue
            rows.setdefault(label, {})[seed] = (matches, boxes, scores[label][seed].score)
    return rows, objects, notes
