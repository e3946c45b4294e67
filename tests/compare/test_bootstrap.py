"""Resampled metrics against the naive way: build the resampled data set and score it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sobench.compare.bootstrap import draw_weights, resample
from sobench.data.dataset import Dataset, FloatArray
from sobench.metrics.detections import DetectionRow
from sobench.metrics.scores import Scores
from sobench.metrics.weighted import Weighted
from sobench.suite.protocols import PROTOCOLS, Protocol
from tests.metrics.scoring_cases import (
    COCO,
    CUSTOM,
    A,
    B,
    annotated,
    dataset_of,
    match,
    random_case,
    row,
    score,
)

CROWD = replace(CUSTOM, name="test-crowd", ignore_regions="crowd", bins_at_50=True)


@pytest.fixture(autouse=True)
def protocols(monkeypatch: pytest.MonkeyPatch) -> None:
    for protocol in (CUSTOM, CROWD):
        monkeypatch.setitem(PROTOCOLS, protocol.name, protocol)


def drawn(
    dataset: Dataset, rows: list[DetectionRow], weights: FloatArray
) -> tuple[Dataset, list[DetectionRow]]:
    """The data set in which each image stands as often as it counts, the copies together."""
    images, of_image = [], []
    for image, weight in zip(dataset.images, weights.astype(int).tolist(), strict=True):
        own = [row for row in rows if row["image_id"] == image.id]
        for copy in range(weight):
            images.append(replace(image, id=100 * image.id + copy))
            of_image += [{**row, "image_id": 100 * image.id + copy} for row in own]
    return replace(dataset, images=tuple(images)), of_image  # type: ignore[return-value]


def without_ties_in_an_image(rows: list[DetectionRow]) -> list[DetectionRow]:
    """Scores that are equal in several images, and never within one."""
    seen: dict[Any, int] = {}
    distinct = []
    for row_ in rows:
        number = seen[row_["image_id"]] = seen.get(row_["image_id"], 0) + 1
        distinct.append({**row_, "score": (37 * number % 101) / 101})
    return distinct  # type: ignore[return-value]


def with_ties_settled(rows: list[DetectionRow]) -> list[DetectionRow]:
    """The order of the engines as scores, none of which are equal."""
    order = sorted(range(len(rows)), key=lambda n: (-rows[n]["score"], rows[n]["image_id"], n))
    settled = {number: 1 - place / len(rows) for place, number in enumerate(order)}
    return [{**row_, "score": settled[n]} for n, row_ in enumerate(rows)]


def assert_column(resampled: Weighted, column: int, scores: Scores) -> None:
    expected = np.array([scores.metrics[name] for name in resampled.metrics], np.float64)
    found = np.array([values[column] for values in resampled.metrics.values()])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    for name, values in resampled.per_class.items():
        expected = np.array([of[name] for of in scores.per_class.values()], np.float64)
        np.testing.assert_allclose(values[column], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("protocol", [COCO, CROWD], ids=lambda p: p.name)
@pytest.mark.parametrize("seed", range(3))
def test_like_scoring_the_resampled_images(protocol: Protocol, seed: int) -> None:
    """Crowds of both kinds, empty images, classes without objects, scores tied over images."""
    dataset, rows = random_case(seed)
    rows = without_ties_in_an_image(rows)
    weights = np.random.default_rng(seed).integers(0, 4, (len(dataset.images), 5)).astype(float)
    weights[:, 0] = np.eye(len(dataset.images))[seed]  # one image alone: few classes are left
    resampled = resample(match(dataset, rows, protocol, "d"), weights)
    for column in range(5):
        naive = score(*drawn(dataset, rows, weights[:, column]), protocol, "pycocotools")
        assert_column(resampled, column, naive)


@pytest.mark.parametrize("seed", range(3))
def test_ties_within_an_image_keep_their_order_in_all_copies(seed: int) -> None:
    dataset, rows = random_case(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (len(dataset.images), 3)).astype(float)
    resampled = resample(match(dataset, rows, CROWD, "d"), weights)
    settled = with_ties_settled(rows)
    for column in range(3):
        naive = score(*drawn(dataset, settled, weights[:, column]), CROWD, "pycocotools")
        assert_column(resampled, column, naive)


def test_by_hand() -> None:
    """Two images with a car each: found at once in the first, behind a false one in the second."""
    dataset = dataset_of(annotated(1, [(0, A)]), annotated(2, [(0, A)]))
    rows = [row(1, A, 0.9), row(2, B, 0.8), row(2, A, 0.7)]
    weights = np.array([[1, 0, 2, 3, 0], [1, 2, 0, 1, 0]], float)
    resampled = resample(match(dataset, rows, COCO, "d"), weights)
    expected = [(51 + 50 * 2 / 3) / 101, 0.5, 1, (76 + 25 * 4 / 5) / 101, np.nan]
    for metric in ("AP", "AP50", "AP75", "AP_S"):
        np.testing.assert_allclose(resampled.metrics[metric], expected, atol=1e-12)
    np.testing.assert_allclose(resampled.metrics["AR@1"], [0.5, 0, 1, 0.75, np.nan])
    np.testing.assert_allclose(resampled.metrics["AR@10"], [1, 1, 1, 1, np.nan])
    assert np.isnan(resampled.metrics["AP_L"]).all()
    assert resampled.per_class["AP"].shape == (5, 1)


def test_images_that_hold_an_object_are_counted() -> None:
    """By area and by class; crowd regions and detections make none."""
    dataset = dataset_of(
        annotated(1, [(0, A), (0, A)]), annotated(2, [(1, A), (1, (0, 0, 200, 200))]),
        annotated(3, [(1, A)]), annotated(4), classes=("a", "b"),
    )  # fmt: skip
    resampled = resample(match(dataset, [row(4, A, 0.9)], COCO, "d"), np.ones((4, 2)))
    metrics = ("AP", "AP50", "AR@1", "AP_S", "AP_M", "AP_L", "AR_L")
    assert [resampled.holding[name] for name in metrics] == [3, 3, 3, 3, 0, 1, 1]
    assert resampled.class_holding.tolist() == [1, 2]


def test_a_recall_of_exactly_35_of_100() -> None:
    """It is less than the 36th recall, 0.35 as float64 has it, however often images count."""
    boxes: list[Any] = [(30.0 * n, 0, 20, 20) for n in range(20)]
    dataset = dataset_of(annotated(1, [(0, box) for box in boxes]))
    rows = [row(1, box, 1 - n / 100) for n, box in enumerate(boxes)]
    rows.insert(7, row(1, (900, 900, 9, 9), 1 - 6.5 / 100))
    ap = resample(match(dataset, rows, COCO, "d"), np.array([[1.0, 5.0]])).metrics["AP"]
    np.testing.assert_allclose(ap, (35 + 66 * 20 / 21) / 101, atol=1e-12)


def test_more_resamples_than_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, rows = random_case(3)
    matches = match(dataset, rows, COCO, "d")
    weights = draw_weights(len(dataset.images), 7)
    whole = resample(matches, weights)
    monkeypatch.setattr("sobench.compare.bootstrap._BLOCK", 3)
    monkeypatch.setattr("sobench.metrics.precision._ROWS", 2)
    parts = resample(matches, weights)
    for name, values in whole.metrics.items():
        np.testing.assert_allclose(parts.metrics[name], values, rtol=0, atol=1e-12)
    for name, values in whole.per_class.items():
        np.testing.assert_allclose(parts.per_class[name], values, rtol=0, atol=1e-12)


def test_draws() -> None:
    weights = draw_weights(50, 40)
    assert weights.shape == (50, 40)
    assert set(weights.sum(axis=0)) == {50}
    np.testing.assert_array_equal(draw_weights(50, 60)[:, :40], weights)
    assert not np.array_equal(draw_weights(50, 40, seed=1), weights)
    assert abs(weights.var() - 1) < 0.1  # as of a Poisson variable, nearly
    assert draw_weights(0, 3).shape == (0, 3)


def test_without_images_or_resamples() -> None:
    for dataset, resamples in ((dataset_of(), 2), (dataset_of(annotated(1, [(0, A)])), 0)):
        weights = draw_weights(len(dataset.images), resamples)
        resampled = resample(match(dataset, [], COCO, "d"), weights)
        assert all(values.shape == (resamples,) for values in resampled.metrics.values())
        assert all(np.isnan(values).all() for values in resampled.metrics.values())
