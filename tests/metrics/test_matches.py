"""Matches against the engines: the metrics of all images follow from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from sobench.compare.bootstrap import resample
from sobench.data.dataset import Dataset
from sobench.errors import DataError
from sobench.metrics.detections import DetectionRow
from sobench.metrics.matches import Matches
from sobench.suite.protocols import PROTOCOLS, Protocol
from tests.metrics.scoring_cases import (
    COCO,
    CUSTOM,
    ENGINES,
    A,
    B,
    Box,
    Engine,
    annotated,
    both_engines,
    dataset_of,
    match,
    random_case,
    row,
    score,
)

CROWD = PROTOCOLS["visdrone-crowd"]
CUSTOM_CROWD = replace(CUSTOM, name="test-crowd", ignore_regions="crowd")
BOUNDS_SIDES = np.array([5, 6, 10, 12, 25, 32, 96])  # areas of 60, 250, 1024 and 9216 among them


@pytest.fixture(autouse=True)
def protocols(monkeypatch: pytest.MonkeyPatch) -> None:
    for protocol in (CUSTOM, CUSTOM_CROWD):
        monkeypatch.setitem(PROTOCOLS, protocol.name, protocol)


def crowded_case(seed: int) -> tuple[Dataset, list[DetectionRow]]:
    """Few scores, many detections of one image and class, and areas on the bounds of the bins."""
    rng = np.random.default_rng(seed)
    images, rows = [], []
    for image_id in (7, 2, 5):
        boxes = np.hstack([rng.integers(0, 30, (12, 2)), rng.choice(BOUNDS_SIDES, (12, 2))])
        boxes = boxes.astype(float)
        labels = rng.integers(0, 2, 12).tolist()
        objects = [(k, cast(Box, tuple(b))) for k, b in zip(labels, boxes.tolist(), strict=True)]
        region: Box = (20, 20, 60, 60)
        images.append(annotated(image_id, objects, [(-1, region), (0, (0, 0, 40, 15))]))
        for _ in range(40):
            box = boxes[rng.integers(12)] + rng.integers(-2, 3, 4) * [1, 1, 0, 0]
            if rng.random() < 0.3:
                box = np.hstack([rng.integers(0, 60, 2), rng.choice(BOUNDS_SIDES, 2)])
            value = float(rng.integers(0, 4)) / 4
            category = int(rng.integers(1, 3))
            rows.append(row(image_id, cast(Box, tuple(map(float, box))), value, category))
    return dataset_of(*images, classes=("car", "van")), rows


def assert_like_the_engine(
    dataset: Dataset, rows: list[DetectionRow], protocol: Protocol, engine: Engine
) -> None:
    scores = score(dataset, rows, protocol, engine)
    whole = resample(match(dataset, rows, protocol, "d"), np.ones((len(dataset.images), 1)))
    assert list(whole.metrics) == list(scores.metrics)
    expected = np.array(list(scores.metrics.values()), np.float64)
    found = np.array(list(whole.metrics.values()))[:, 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    for name, values in whole.per_class.items():
        expected = np.array([of[name] for of in scores.per_class.values()], np.float64)
        np.testing.assert_allclose(values[0], expected, rtol=0, atol=1e-9)


@both_engines
@pytest.mark.parametrize("protocol", [COCO, CROWD, CUSTOM, CUSTOM_CROWD], ids=lambda p: p.name)
@pytest.mark.parametrize("case", [random_case, crowded_case])
def test_metrics_are_those_of_the_engines(
    case: Callable[[int], tuple[Dataset, list[DetectionRow]]], protocol: Protocol, engine: Engine
) -> None:
    for seed in range(4):
        assert_like_the_engine(*case(seed), protocol, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_recalls_are_reached_as_float64_has_it(engine: Engine) -> None:
    """7 of 20 objects are less than the 36th recall, which is a little more than 0.35."""
    boxes: list[Box] = [(30.0 * n, 0, 20, 20) for n in range(20)]
    dataset = dataset_of(annotated(1, [(0, box) for box in boxes]))
    rows = [row(1, box, 1 - n / 100) for n, box in enumerate(boxes)]
    rows.insert(7, row(1, (900, 900, 9, 9), 1 - 6.5 / 100))
    assert_like_the_engine(dataset, rows, COCO, engine)


def matches_of_two() -> Matches:
    """Image 9, then image 4, whose equal scores come first by their ids."""
    dataset = dataset_of(
        annotated(9, [(0, A), (1, B)]), annotated(4, [(0, A)], [(0, B)]), classes=("car", "van")
    )
    rows = [
        row(9, A, 0.5), row(9, A, 0.5), row(4, A, 0.5), row(4, B, 0.9),
        row(9, (10, 10, 20, 14), 0.7), row(9, (800, 10, 40, 40), 0.2, 2),
    ]  # fmt: skip
    return match(dataset, rows, COCO, "d")


def test_matches_by_hand() -> None:
    matches = matches_of_two()
    assert matches.image_ids.tolist() == [9, 4]
    assert matches.image.tolist() == [1, 0, 1, 0, 0, 0]
    assert matches.label.tolist() == [0, 0, 0, 0, 0, 1]
    assert matches.score.tolist() == [0.9, 0.7, 0.5, 0.5, 0.5, 0.2]
    assert matches.rank.tolist() == [0, 0, 1, 1, 2, 0]
    # On a crowd region; IoU .70; the same object in both images; then it is taken; a false van.
    assert matches.outcome[0, 0].tolist() == [-1, 1, 1, 0, 0, 0]
    assert matches.outcome[0, 5].tolist() == [-1, 0, 1, 1, 0, 0]
    # All cars are small; the van of 1600 square pixels is false among the medium ones alone.
    assert matches.outcome[1, 0].tolist() == [-1, 1, 1, 0, 0, -1]
    assert matches.outcome[2, 0].tolist() == [-1, -1, -1, -1, -1, 0]
    assert matches.found.tolist() == [-1, 0, 2, -1, -1, -1]
    assert matches.object_image.tolist() == [0, 0, 1]
    assert matches.object_label.tolist() == [0, 1, 0]
    assert matches.object_area.tolist() == [400, 400, 400]
    assert matches.num_objects.tolist() == [[[1, 1], [1, 0]]] * 2 + [[[0, 0], [0, 0]]] * 2


def test_of_two_equal_overlaps_the_last_object_is_taken() -> None:
    dataset = dataset_of(annotated(1, [(0, (0, 0, 10, 10)), (0, (4, 0, 10, 10))], areas=[2000, 9]))
    matches = match(dataset, [row(1, (2, 0, 10, 10), 0.5), row(1, (2, 0, 10, 10), 0.4)], COCO, "d")
    assert matches.found.tolist() == [1, 0]
    # The small object counts, so it is taken whatever the order; the other one is ignored.
    assert matches.outcome[1, 0].tolist() == [1, -1]
    assert matches.outcome[2, 0].tolist() == [1, -1]


def test_the_last_limit_keeps_the_surest_of_each_image_and_class() -> None:
    rows = [row(1, A, n / 10) for n in range(9)] + [row(1, A, 0.1, 2)]
    dataset = dataset_of(annotated(1), annotated(2), classes=("car", "van"))
    matches = match(dataset, rows, CUSTOM, "d")
    assert matches.score.tolist() == [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert matches.rank.tolist() == [0, 1, 2, 3, 4, 5, 6, 0]


def test_nothing_detected_and_nothing_annotated() -> None:
    for dataset in (dataset_of(annotated(1)), dataset_of()):
        matches = match(dataset, [], COCO, "d")
        assert matches.outcome.shape == (4, 10, 0)
        assert matches.num_objects.shape == (4, len(dataset.images), 1)


def test_detections_of_another_data_set() -> None:
    with pytest.raises(DataError, match="image_id 3 is not an image of test split"):
        match(dataset_of(annotated(1)), [row(3, A, 0.5)], COCO, "d")
