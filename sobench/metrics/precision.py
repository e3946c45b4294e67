"""Average precision of one class under many sets of image weights at once.

Between two true positives only the number of false positives matters, and precision falls with
each of them: its maxima, which the envelope is made of, lie where a run of true positives ends. So
only those positions are looked at. Counts are whole numbers and exact in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import FloatArray, IntArray
from sobench.metrics.matches import Int8Array, Int32Array
from sobench.metrics.matching import TRUE
from sobench.suite.protocols import Protocol

_ROWS = 32
"""Positions that are worked on at once, so that they stay in the processor's cache."""

RECALL_POINTS = 101
"""How many recalls COCO averages precision over."""

RECALLS: FloatArray = np.linspace(0, 1, RECALL_POINTS)
"""0, .01, ..., 1."""


def recalls_of(protocol: Protocol, objects: int) -> FloatArray:
    """The recalls that AP is the mean precision at, rising.

    Args:
        objects: how many count, 1 or more.
    """
    if protocol.family not in ("voc", "visdrone"):
        return RECALLS
    if protocol.points:
        return np.linspace(0, 1, protocol.points)
    of_objects: FloatArray = np.arange(1, objects + 1) / objects
    return of_objects


@dataclass(frozen=True)
class _Ranking:
    """The detections of one class in one area, by falling score, and how often they count.

    Attributes:
        outcome: ``[T, D]``.
        image: ``[D]``.
        weights: N rows ``[B]``, how often each image counts.
        positions: ``[P]`` those that are looked at for any threshold, rising.
        detections: ``[P, B]`` how many detections count up to there at the lowest threshold.
        levels: ``[B, max + 1]`` how many recalls are reached with each number of true positives;
            ``None`` if each true positive reaches one of its own.
        adds_epsilon: against 0 / 0, as pycocotools; the devkits divide by 1 at least.
    """

    outcome: Int8Array
    image: Int32Array
    weights: Sequence[FloatArray]
    positions: IntArray
    detections: FloatArray
    levels: NDArray[np.uint8] | None
    adds_epsilon: bool


@dataclass(frozen=True)
class Scratch:
    """Memory that is used again and again: fresh memory would cost more than the work in it."""

    found: FloatArray
    counted: FloatArray
    index: IntArray
    reached: NDArray[np.uint8]

    @classmethod
    def of(cls, resamples: int) -> Scratch:
        """For this number of resamples."""
        shape = (_ROWS + 1, resamples)
        return cls(
            np.empty(shape), np.empty(shape), np.empty(shape, np.int64), np.empty(shape, np.uint8)
        )


def average_precision(
    outcome: Int8Array,
    image: Int32Array,
    weights: FloatArray,
    objects: FloatArray,
    scratch: Scratch,
    points: int = RECALL_POINTS,
) -> FloatArray:
    """The mean precision over recalls, ``[T, B]``; meaningless where there is no object.

    The precision at a recall is the highest at this recall or any above it.

    Args:
        outcome: ``[T, D]`` of the detections of one class in one area, by falling score.
        image: ``[D]`` the image of each.
        weights: ``[N, B]`` how often each image counts.
        objects: ``[B]`` how many objects there are.
        scratch: memory for as many resamples.
        points: how many recalls from 0 to 1 are looked at; 0 for the recall of each object, which
            makes the area under the curve.
    """
    ends = [_ends(of_threshold) for of_threshold in outcome]
    positions = np.unique(np.concatenate(ends))
    values = np.zeros((len(outcome), weights.shape[1]))
    if not len(positions):
        return values
    ranking = _Ranking(
        outcome, image, list(weights), positions,
        _detections(outcome[0], positions, image, weights),
        _levels(objects, points) if points else None,
        adds_epsilon=points == RECALL_POINTS,
    )  # fmt: skip
    for threshold, end in enumerate(ends):
        if len(end):
            values[threshold] = _area(ranking, threshold, end, scratch)
    return values / (points or np.maximum(objects, 1))


def _ends(outcome: Int8Array) -> IntArray:
    """Positions of the true positives that are not followed by another one."""
    counted = np.flatnonzero(outcome >= 0)
    true = outcome[counted] == TRUE
    true[:-1] &= ~true[1:]
    ends: IntArray = counted[true]
    return ends


def _detections(
    outcome: Int8Array, positions: IntArray, image: Int32Array, weights: FloatArray
) -> FloatArray:
    """How many detections count up to each position, ``[P, B]``."""
    from scipy.sparse import csr_array

    counted = np.flatnonzero(outcome[: positions[-1] + 1] >= 0)
    places = (np.searchsorted(positions, counted), image[counted])
    matrix = csr_array((np.ones(len(counted)), places), shape=(len(positions), len(weights)))
    sums: FloatArray = matrix @ weights
    for before, row in pairwise(sums):
        np.add(before, row, out=row)
    return sums


def _levels(objects: FloatArray, points: int) -> NDArray[np.uint8]:
    """How many of the recalls are reached with 0, 1, ... true positives, ``[B, max + 1]``.

    The quotients that decide are those that pycocotools compares, to the bit.
    """
    recalls = np.linspace(0, 1, points)
    total = np.maximum(objects, 1)
    needed = np.ceil(recalls[:, None] * total)  # may be off by one, as float64 rounds
    needed -= (needed - 1) / total >= recalls[:, None]
    needed += needed / total < recalls[:, None]
    # Recall 0 is reached with the first detection, whose envelope is that of the first true one.
    needed = np.maximum(needed, 1).T
    size = int(total.max()) + 1
    bounds = np.pad(needed, ((0, 0), (1, 1)), constant_values=((0, 0), (0, size)))
    steps = np.tile(np.arange(points + 1, dtype=np.uint8), len(total))
    return np.repeat(steps, np.diff(bounds).astype(np.int64).reshape(-1)).reshape(-1, size)


def _area(ranking: _Ranking, threshold: int, end: IntArray, scratch: Scratch) -> FloatArray:
    """The sum of the envelope over the recalls, ``[B]``, from the last position to the first."""
    here, lowest = ranking.outcome[threshold, : end[-1] + 1], ranking.outcome[0, : end[-1] + 1]
    true = np.flatnonzero(here == TRUE)
    hits = _by_row(end, true, ranking.image)
    found = _total(ranking, true)
    others = _Others.of(ranking, (here >= 0).astype(np.int8) - (lowest >= 0), end)
    rows = np.searchsorted(ranking.positions, end)
    resamples = len(found)
    area, envelope = np.zeros(resamples), np.zeros(resamples)
    for high in range(len(end), 0, -_ROWS):
        low = max(0, high - _ROWS)
        number = high - low
        # True positives before the first of these positions, and up to each of them.
        positives, counted = scratch.found[: number + 1], scratch.counted[:number]
        _count_back(list(positives), found, hits[low:high], ranking.weights)
        found = positives[0].copy()
        np.take(ranking.detections, rows[low:high], axis=0, out=counted, mode="clip")
        others.add(counted, low, ranking.weights)
        if ranking.adds_epsilon:
            counted += np.spacing(1.0)
        else:
            np.maximum(counted, 1, out=counted)
        precision = np.divide(positives[1:], counted, out=counted)
        for row in precision[::-1]:
            envelope = np.maximum(envelope, row, out=row)
        envelope = envelope.copy()
        reached = _reached(ranking.levels, positives, scratch)
        area += np.einsum("ij,ij->j", precision, np.subtract(reached[1:], reached[:-1]))
    return area


def _reached(
    levels: NDArray[np.uint8] | None, positives: FloatArray, scratch: Scratch
) -> NDArray[Any]:
    """How many recalls are reached with these numbers of true positives ``[P, B]``."""
    if levels is None:
        return positives
    index, reached = scratch.index[: len(positives)], scratch.reached[: len(positives)]
    positives += np.arange(positives.shape[1], dtype=np.float64) * levels.shape[1]
    np.copyto(index, positives, casting="unsafe")
    return np.take(levels.reshape(-1), index, out=reached, mode="clip")


def _by_row(end: IntArray, which: IntArray, image: Int32Array) -> list[list[int]]:
    """The images of the detections that lie up to each position and behind the last one."""
    bounds = np.searchsorted(which, end, side="right").tolist()
    images = image[which].tolist()
    return [images[low:high] for low, high in pairwise([0, *bounds])]


def _total(ranking: _Ranking, which: IntArray, signs: Int8Array | None = None) -> FloatArray:
    """How many these detections are ``[B]``, with signs."""
    per_image = np.bincount(ranking.image[which], signs, minlength=len(ranking.weights))
    total = np.zeros(ranking.detections.shape[1])
    for image in np.flatnonzero(per_image).tolist():
        total += per_image[image] * ranking.weights[image]
    return total


def _count_back(
    counts: list[FloatArray], last: FloatArray, hits: list[list[int]], weights: Sequence[FloatArray]
) -> None:
    """Fill rows with counts that end with ``last`` and lose the detections of each row."""
    counts[-1][:] = last
    for number in range(len(hits) - 1, -1, -1):
        row, above = counts[number], counts[number + 1]
        for image in hits[number]:
            above = np.subtract(above, weights[image], out=row)


@dataclass
class _Others:
    """Detections that count at one threshold and not at the lowest, and the other way around.

    Attributes:
        now: ``[B]`` how many more count, up to the position that is looked at.
        rows: the position from which each counts, rising.
        images, signs: of each; they are taken away from the end.
    """

    now: FloatArray
    rows: list[int]
    images: list[int]
    signs: list[int]

    @classmethod
    def of(cls, ranking: _Ranking, change: Int8Array, end: IntArray) -> _Others:
        changed = np.flatnonzero(change)
        return cls(
            _total(ranking, changed, change[changed]),
            np.searchsorted(end, changed).tolist(),
            ranking.image[changed].tolist(),
            change[changed].tolist(),
        )

    def add(self, counted: FloatArray, low: int, weights: Sequence[FloatArray]) -> None:
        """Add them to rows ``[R, B]`` that begin with position ``low``, the last rows first."""
        high = len(counted)
        while self.rows and high:
            first = max(self.rows[-1] - low, 0)
            counted[first:high] += self.now
            high = first
            while self.rows and self.rows[-1] >= low + high:
                self.rows.pop()
                self.now -= self.signs.pop() * weights[self.images.pop()]
