"""Datasets and detections to score, drawn by hand or at random."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, cast

import numpy as np
import pytest

from sobench.data.dataset import AnnotatedImage, Dataset, as_boxes, as_labels
from sobench.metrics import scoring
from sobench.metrics.detections import DetectionRow, tabulate
from sobench.metrics.matches import Matches
from sobench.metrics.scores import Scores
from sobench.suite.protocols import INFINITE_AREA, PROTOCOLS, Protocol

Engine = Literal["hotcoco", "pycocotools"]
ENGINES: tuple[Engine, ...] = ("hotcoco", "pycocotools")
both_engines = pytest.mark.parametrize("engine", ENGINES)

COCO = PROTOCOLS["coco"]

Box = tuple[float, float, float, float]
A: Box = (10, 10, 20, 20)
B: Box = (100, 10, 20, 20)
C: Box = (200, 10, 20, 20)


def annotated(
    image_id: int,
    objects: list[tuple[int, Box]] | None = None,
    regions: list[tuple[int, Box]] | None = None,
    areas: list[float] | None = None,
) -> AnnotatedImage:
    """An image of 1000 x 1000 px; boxes are ``x, y, w, h``."""
    boxes = as_boxes([box for _, box in objects or []])
    ignore = as_boxes([box for _, box in regions or []])
    return AnnotatedImage(
        id=image_id,
        name=f"{image_id}.jpg",
        width=1000,
        height=1000,
        boxes=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        labels=as_labels([label for label, _ in objects or []]),
        areas=np.array(areas) if areas else boxes[:, 2] * boxes[:, 3],
        ignore=np.concatenate([ignore[:, :2], ignore[:, :2] + ignore[:, 2:]], axis=1),
        ignore_labels=as_labels([label for label, _ in regions or []]),
    )


def dataset_of(
    *images: AnnotatedImage,
    classes: tuple[str, ...] = ("car",),
    category_ids: tuple[int, ...] | None = None,
) -> Dataset:
    ids = category_ids or tuple(range(1, len(classes) + 1))
    return Dataset("test split", classes, ids, images, lambda _: np.zeros((1, 1, 3), np.uint8))


def row(image_id: int, box: Box, value: float, category_id: int = 1) -> DetectionRow:
    return {"image_id": image_id, "category_id": category_id, "bbox": [*box], "score": value}


def score(
    dataset: Dataset,
    rows: Sequence[DetectionRow],
    protocol: Protocol,
    engine: Engine = "hotcoco",
) -> Scores:
    return scoring.score(dataset, tabulate(rows, "detections"), protocol, engine)


def match(
    dataset: Dataset, rows: Sequence[DetectionRow], protocol: Protocol, digest: str = "d"
) -> Matches:
    return scoring.match(dataset, tabulate(rows, "detections"), protocol, digest)


def assert_same(a: Scores, b: Scores, tolerance: float = 0.0) -> None:
    for one, two in (
        ({"": a.metrics}, {"": b.metrics}),
        (a.per_class, b.per_class),
        (a.curves, b.curves),
    ):
        first, second = cast(dict[str, dict[str, Any]], one), cast(dict[str, dict[str, Any]], two)
        assert list(first) == list(second)
        for name in first:
            assert list(first[name]) == list(second[name])
            for key in first[name]:
                # As floats, None is NaN, and NaN is close to NaN alone.
                one_value, other = (np.array(x[name][key], np.float64) for x in (first, second))
                np.testing.assert_allclose(one_value, other, rtol=0, atol=tolerance, err_msg=key)


def defined(values: Iterable[float | None]) -> list[float]:
    """The values, none of which may be undefined."""
    checked = []
    for value in values:
        assert value is not None
        checked.append(value)
    return checked


def quiet_score(
    capfd: pytest.CaptureFixture[str],
    dataset: Dataset,
    rows: list[DetectionRow],
    protocol: Protocol,
    engine: Engine,
) -> Scores:
    result = score(dataset, rows, protocol, engine)
    assert capfd.readouterr() == ("", "")
    return result


def random_case(seed: int) -> tuple[Dataset, list[DetectionRow]]:
    """Crowds of both kinds, empty images, missed images, absent classes, tied scores, zero ids."""
    rng = np.random.default_rng(seed)
    category_ids = (5, 0, 9, 3)  # not in order; the last class has no objects, only crowds
    images, rows = [], []
    for image_id in rng.permutation(np.arange(0, 36, 3)).tolist():
        count = int(rng.integers(0, 12)) * int(rng.random() < 0.8)
        corner, side = rng.uniform(0, 80, (count, 2)), rng.uniform(3, 40, (count, 2)).round(2)
        boxes = np.concatenate([corner, side], axis=1)
        labels = rng.integers(0, 3, count)
        regions = [
            (int(rng.integers(-1, 4)), (*rng.uniform(0, 60, 2), *rng.uniform(10, 50, 2)))
            for _ in range(int(rng.integers(0, 3)))
        ]
        images.append(
            annotated(
                image_id,
                [(int(label), tuple(box)) for label, box in zip(labels, boxes, strict=True)],
                cast(list[tuple[int, Box]], regions),
                (side.prod(axis=1) * rng.uniform(0.5, 1, count)).tolist() or None,
            )
        )
        if rng.random() < 0.2:
            continue
        near = np.repeat(boxes, 2, axis=0) + rng.normal(0, 1.5, (2 * count, 4))
        far = np.concatenate([rng.uniform(0, 80, (8, 2)), rng.uniform(0, 40, (8, 2))], axis=1)
        far[0, 2:] = 0  # a box without extent
        guesses = np.concatenate([rng.integers(0, 4, 8), np.repeat(labels, 2)])
        for label, box in zip(guesses, np.concatenate([far, near]).clip(0), strict=True):
            value = float(rng.integers(0, 20)) / 20
            rows.append(row(image_id, cast(Box, tuple(box.tolist())), value, category_ids[label]))
    classes = ("car", "van", "bus", "tram")
    return dataset_of(*images, classes=classes, category_ids=category_ids), rows


CUSTOM = Protocol(
    "test-bins",
    "test bins",
    1,
    (1, 3, 7),
    {"XS": (0.0, 60.0), "S": (60.0, 250.0), "M": (250.0, INFINITE_AREA), "none": (5e8, 6e8)},
)
