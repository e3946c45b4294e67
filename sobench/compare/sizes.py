"""What share of the objects each row finds, by their size in fine bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sobench.compare.found import BestScore, found_objects
from sobench.data.dataset import FloatArray, IntArray
from sobench.metrics.matches import Matches

EDGES = (0.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 32.0, 40.0, 48.0, 64.0, 96.0, 128.0, np.inf)
"""Square roots of areas in pixels of the original image, from which bins begin."""


@dataclass(frozen=True)
class SizeBin:
    """Objects of one size.

    Attributes:
        low, high: square root of the area in pixels of the original image; from ``low`` on, and
            below ``high``, which may be infinite.
        objects: how many there are; 1 or more.
        recall: label -> the share that is found at an IoU of .5 by detections from the row's own
            best score on (see ``found.best_score``); the mean over seeds.
        ceiling: the same by all detections, whatever their score.
    """

    low: float
    high: float
    objects: int
    recall: dict[str, float]
    ceiling: dict[str, float]


def recall_by_size(
    rows: Mapping[str, Mapping[int, Matches]], scores: Mapping[str, Mapping[int, BestScore]]
) -> tuple[SizeBin, ...]:
    """The bins that have objects, smallest first; empty without matches.

    Args:
        rows: label -> seed -> matches, all over the same objects.
        scores: label -> seed -> the score from which on its detections count.
    """
    example = next((m for of_row in rows.values() for m in of_row.values()), None)
    if example is None:
        return ()
    bins = np.digitize(np.sqrt(example.object_area), EDGES) - 1
    counts = np.bincount(bins, minlength=len(EDGES) - 1)
    recall, ceiling = {}, {}
    for label, of_row in rows.items():
        sure = [found_objects(m, scores[label][seed].score) for seed, m in of_row.items()]
        recall[label] = _shares(np.mean(sure, axis=0), bins, counts)
        every = [found_objects(m, -np.inf) for m in of_row.values()]
        ceiling[label] = _shares(np.mean(every, axis=0), bins, counts)
    return tuple(
        SizeBin(
            EDGES[number],
            EDGES[number + 1],
            int(counts[number]),
            {label: float(shares[number]) for label, shares in recall.items()},
            {label: float(shares[number]) for label, shares in ceiling.items()},
        )
        for number in np.flatnonzero(counts).tolist()
    )


def _shares(found: FloatArray, bins: IntArray, counts: IntArray) -> FloatArray:
    """The share of each bin's objects; ``found`` is ``[G]``, a probability over seeds."""
    return np.bincount(bins, found, minlength=len(counts)) / np.maximum(counts, 1)
