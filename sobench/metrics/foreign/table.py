"""Foreign rows -> the detections of a data set, with every value checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import Dataset, FloatArray, IntArray
from sobench.errors import DataError
from sobench.metrics.detections import DetectionTable, rounded_table
from sobench.metrics.foreign.names import class_positions, image_positions
from sobench.metrics.foreign.readings import check_reading
from sobench.metrics.foreign.rows import ForeignRows
from sobench.suite.protocols import Protocol

_REPEATED = 0.1
"""Share of repeated rows from which a file is taken for one that was joined wrongly.

Of a detector that has hardly been trained, a few rows in a hundred repeat: boxes are clipped to the
whole image, and queries give the same box.
"""


@dataclass(frozen=True)
class ForeignDetections:
    """Detections made elsewhere, as the metrics read them.

    Attributes:
        table: their columns, rounded as those of every run.
        image, label: ``[N]`` positions among the images and classes of the data set.
        notes: what a reader of the scores should know.
    """

    table: DetectionTable
    image: IntArray
    label: IntArray
    notes: tuple[str, ...]


def to_detections(rows: ForeignRows, dataset: Dataset, protocol: Protocol) -> ForeignDetections:
    """Look up images and classes, bring boxes into pixels, and check all values.

    Args:
        rows: as a file has them.
        dataset: the split that they were made on.
        protocol: by which they are to be scored; notes tell which of them it leaves out.

    Raises:
        DataError: an image or class is unknown, or values cannot be what they are meant to be.
    """
    _check_numbers(rows)
    image = np.array(image_positions(rows, dataset), np.int64)[rows.image]
    label = np.array(class_positions(rows, dataset), np.int64)[rows.label]
    wh = np.array([(x.width, x.height) for x in dataset.images], np.float64)
    boxes = _in_pixels(rows, wh[image]) if rows.are_fractions else rows.boxes
    check_reading(rows, boxes, image, label, dataset)
    table = rounded_table(
        np.array([x.id for x in dataset.images], np.int64)[image],
        np.array(dataset.category_ids, np.int64)[label],
        boxes,
        rows.scores,
    )
    repeated = _repeated(table)
    if len(repeated) > _REPEATED * len(rows):
        raise DataError(
            f"{rows.place(int(repeated[0]))}: repeats an earlier row, as do {len(repeated)} of "
            f"{len(rows)} rows; a repetition counts as false: remove them, or look for files that "
            "were joined twice"
        )
    notes = (
        *_empty_images(dataset, image),
        *_beyond_limit(dataset, image, label, protocol),
        *_repetitions(len(repeated), len(rows)),
    )
    return ForeignDetections(table, image, label, notes)


def _check_numbers(rows: ForeignRows) -> None:
    """Refuse what is not finite, boxes of negative size, and scores outside of 0..1."""
    scores, boxes = rows.scores, rows.boxes
    for is_bad, problem in (
        (~np.isfinite(scores), "the score {score:g} is not finite; look for NaN in the network"),
        (
            ~np.isfinite(boxes).all(axis=1),
            "the box {box} is not finite; look for NaN in the network",
        ),
        (
            (boxes[:, 2:] < 0).any(axis=1),
            "the box {box} has a negative width or height; check the order of its numbers",
        ),
        ((scores < 0) | (scores > 1), f"the score {{score:g}} is not in 0..1; {_scale(scores)}"),
    ):
        if is_bad.any():
            index = int(np.argmax(is_bad))
            box = "[" + ", ".join(f"{side:g}" for side in boxes[index]) + "]"
            text = problem.format(score=scores[index], box=box)
            number = int(np.count_nonzero(is_bad))
            more = f" ({number} of {len(rows)} rows are so)" if number > 1 else ""
            raise DataError(f"{rows.place(index)}: {text}{more}")


def _scale(scores: FloatArray) -> str:
    """What scores outside of 0..1 are most likely."""
    if not len(scores) or np.nanmin(scores) < 0:
        return "logits become scores by a sigmoid or softmax"
    if np.nanmax(scores) <= 100:
        return "divide percentages by 100"
    return "check the order of the columns"


def _in_pixels(rows: ForeignRows, wh: FloatArray) -> FloatArray:
    """``cx, cy, w, h`` in fractions -> ``x, y, w, h`` in pixels."""
    centres, sizes = rows.boxes[:, :2] * wh, rows.boxes[:, 2:] * wh
    boxes: FloatArray = np.concatenate([centres - sizes / 2, sizes], axis=1)
    return boxes


def _repeated(table: DetectionTable) -> NDArray[np.intp]:
    """The rows that are the same as an earlier one, in their order."""
    columns = (*table.boxes.T, table.scores, table.category_ids, table.image_ids)
    # Equal rows have equal sums of the bits of their values, which are sorted faster than rows.
    sums = np.zeros(len(table.scores), np.uint64)
    for column in columns:
        sums = sums * np.uint64(0x9E3779B97F4A7C15) + np.ascontiguousarray(column).view(np.uint64)
    _, first, counts = np.unique(sums, return_inverse=True, return_counts=True)
    likely = np.flatnonzero(counts[first] > 1)
    order = likely[np.lexsort([column[likely] for column in columns])]  # stable: the first is first
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in columns:
        same &= column[order][1:] == column[order][:-1]
    return np.sort(order[1:][same])


def _empty_images(dataset: Dataset, image: IntArray) -> Iterator[str]:
    total = len(dataset.images)
    if empty := total - len(np.unique(image)):
        yield f"{empty} of {total} images have no detections, and count as images without any"


def _beyond_limit(
    dataset: Dataset, image: IntArray, label: IntArray, protocol: Protocol
) -> Iterator[str]:
    """How many detections the protocol leaves out, and by which rule."""
    if not protocol.max_dets:
        return
    limit = protocol.max_dets[-1]
    if protocol.family == "visdrone":
        counts, where = np.bincount(image), "an image"
        told = "are left out in the order of the file, unless ignored regions take others away"
    else:
        counts, where = np.bincount(image * len(dataset.classes) + label), "an image and class"
        told = "are left out by score"
        if protocol.family == "tt100k":
            told += " for AP and AR"
    if beyond := int(np.clip(counts - limit, 0, None).sum()):
        yield (
            f"{beyond} of {len(image)} detections are beyond the {limit} of {where} that the "
            f"protocol counts, and {told}"
        )


def _repetitions(repeated: int, total: int) -> Iterator[str]:
    if repeated:
        yield f"{repeated} of {total} rows repeat an earlier one, and count as false"
