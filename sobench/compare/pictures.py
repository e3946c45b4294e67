"""The val images on which rows differ most, with what each row finds there."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sobench.compare.found import found_objects
from sobench.data.dataset import Dataset, FloatArray, ImageArray, IntArray
from sobench.errors import DataError
from sobench.metrics.matches import Matches
from sobench.metrics.matching import FALSE, TRUE

IMAGES = 8
"""How many are shown, at most."""

LONGEST_SIDE = 512
"""Of a shown image in pixels."""

JPEG_BYTES = 1_500_000
"""Of all shown images together."""

_QUALITY = 82


@dataclass(frozen=True)
class RowBoxes:
    """What one row does on an image; boxes ``[n, 4]`` ``x, y, w, h`` in pixels of the original.

    Attributes:
        true: detections from the row's own best score on that find an object at an IoU of .5.
        false: such detections that find none.
        missed: objects that no such detection finds.
    """

    true: FloatArray
    false: FloatArray
    missed: FloatArray


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        name: its file.
        width, height: of the original in pixels.
        jpeg: the image, made smaller.
        objects: boxes ``[G, 4]`` ``x, y, w, h``.
        classes: ``[G]`` names of their classes.
        rows: label -> what it does here.
    """

    name: str
    width: int
    height: int
    jpeg: bytes
    objects: FloatArray
    classes: tuple[str, ...]
    rows: dict[str, RowBoxes]


def most_different(rows: Mapping[str, tuple[Matches, float | None]]) -> IntArray:
    """Positions of images, those first on which rows agree least about which objects they find.

    Each object counts with the share of pairs of rows of which only one finds it, its image with
    the sum. Images on which all agree are left out.

    Args:
        rows: label -> matches of one run over the same objects, and the score from which
            detections count.
    """
    found = np.mean([found_objects(m, score) for m, score in rows.values()], axis=0)
    matches = next(iter(rows.values()))[0]
    images = len(matches.image_ids)
    dispute = np.bincount(matches.object_image, found * (1 - found), minlength=images)
    order = np.argsort(-dispute, kind="stable")
    chosen: IntArray = order[dispute[order] > 0]
    return chosen


def pictures(
    dataset: Dataset,
    rows: Mapping[str, tuple[Matches, FloatArray, float | None]],
    truth: FloatArray,
) -> tuple[list[Picture], list[str]]:
    """The images on which rows differ most, and notes on images that cannot be shown.

    Args:
        rows: label -> matches of one run, boxes ``[D, 4]`` of its detections, and the score from
            which they count.
        truth: ``[G, 4]`` ``x, y, w, h`` of the objects.
    """
    shown: list[Picture] = []
    notes: list[str] = []
    room = JPEG_BYTES
    for index in most_different({k: (m, s) for k, (m, _, s) in rows.items()}).tolist():
        if len(shown) == IMAGES or len(notes) == IMAGES:
            break
        try:
            jpeg = _as_jpeg(dataset.read_image(index))
        except DataError as error:
            notes.append(f"an image is left out: {error}")
            continue
        if len(jpeg) > room:
            notes.append(f"images beyond {JPEG_BYTES / 1e6:.1f} MB are left out")
            break
        room -= len(jpeg)
        shown.append(_picture(dataset, index, jpeg, rows, truth))
    return shown, notes


def _picture(
    dataset: Dataset,
    index: int,
    jpeg: bytes,
    rows: Mapping[str, tuple[Matches, FloatArray, float | None]],
    truth: FloatArray,
) -> Picture:
    image, (example, _, _) = dataset.images[index], next(iter(rows.values()))
    here = np.flatnonzero(example.object_image == index)
    return Picture(
        name=image.name,
        width=image.width,
        height=image.height,
        jpeg=jpeg,
        objects=truth[here],
        classes=tuple(example.classes[label] for label in example.object_label[here].tolist()),
        rows={
            label: _row_boxes(matches, boxes, score, index, truth)
            for label, (matches, boxes, score) in rows.items()
        },
    )


def _row_boxes(
    matches: Matches, boxes: FloatArray, score: float | None, index: int, truth: FloatArray
) -> RowBoxes:
    counted = (matches.image == index) & (matches.score >= (np.inf if score is None else score))
    outcome = matches.outcome[0, 0]
    missed = ~found_objects(matches, score) & (matches.object_image == index)
    return RowBoxes(
        true=boxes[counted & (outcome == TRUE)],
        false=boxes[counted & (outcome == FALSE)],
        missed=truth[missed],
    )


def _as_jpeg(pixels: ImageArray) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()


def first_shared_seed(rows: Mapping[str, Mapping[int, object]]) -> int | None:
    """The first seed that all rows have; ``None`` if there is none."""
    seeds: Sequence[set[int]] = [set(of_row) for of_row in rows.values()]
    return min(set.intersection(*seeds), default=None) if seeds else None
