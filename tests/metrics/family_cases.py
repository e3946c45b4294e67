"""Scores by protocols of other families than COCO's, and what must hold for all of them."""

from __future__ import annotations

from typing import cast

import numpy as np

from sobench.compare.bootstrap import resample
from sobench.data.dataset import Dataset
from sobench.metrics.detections import DetectionRow
from sobench.metrics.scores import Scores
from sobench.suite.protocols import PROTOCOLS
from tests.metrics.scoring_cases import Box, annotated, dataset_of, match, row, score


def scored(dataset: Dataset, rows: list[DetectionRow], protocol: str) -> Scores:
    """The scores, of which resampling with weights of one makes the same."""
    scores = score(dataset, rows, PROTOCOLS[protocol])
    matches = match(dataset, rows, PROTOCOLS[protocol])
    whole = resample(matches, np.ones((len(matches.image_ids), 1)))
    assert list(whole.metrics) == list(scores.metrics)
    for name, values in whole.metrics.items():
        expected = scores.metrics[name]
        np.testing.assert_allclose(
            values[0], np.nan if expected is None else expected, rtol=0, atol=1e-12, err_msg=name
        )
    for name, of_classes in whole.per_class.items():
        expected_of = np.array([of[name] for of in scores.per_class.values()], np.float64)
        np.testing.assert_allclose(of_classes[0], expected_of, rtol=0, atol=1e-12, err_msg=name)
    return scores


def drone_case(seed: int) -> tuple[Dataset, list[DetectionRow]]:
    """Ignored regions, objects of score 0, boxes half inside, crowded images, unsorted rows.

    Coordinates are whole numbers, as in the annotations of VisDrone; detections are not.
    """
    rng = np.random.default_rng(seed)
    images, rows = [], []
    for image_id in range(1, 9):
        count = 150 if image_id == 1 else int(rng.integers(0, 25))
        boxes = np.hstack([rng.integers(0, 960, (count, 2)), rng.integers(4, 60, (count, 2))])
        labels = rng.integers(0, 3, count).tolist()
        regions: list[tuple[int, Box]] = []
        for _ in range(int(rng.integers(0, 4))):  # some reach over the edges of the image
            x, y = rng.integers(-3, 950, 2).tolist()
            w, h = rng.integers(20, 100, 2).tolist()
            regions.append((-1, (x, y, w, h)))
        for _ in range(int(rng.integers(0, 4))):
            x, y = rng.integers(0, 900, 2).tolist()
            regions.append((int(rng.integers(0, 4)), (x, y, 50, 50)))
        objects = [(k, cast(Box, tuple(b))) for k, b in zip(labels, boxes.tolist(), strict=True)]
        images.append(annotated(image_id, objects, regions))
        rows += _guesses(rng, image_id, boxes.astype(float), labels, regions)
    classes = ("pedestrian", "people", "car", "bus")  # of the last one there are score-0 boxes only
    return dataset_of(*images, classes=classes), rows


def _guesses(
    rng: np.random.Generator,
    image_id: int,
    boxes: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    labels: list[int],
    regions: list[tuple[int, Box]],
) -> list[DetectionRow]:
    """Objects shifted, dropped, doubled or of another class, and boxes in regions; in any order."""
    guesses: list[tuple[Box, int]] = []
    for label, box in zip(labels, boxes, strict=True):
        for _ in range(int(rng.integers(0, 6))):
            moved = box + rng.normal(0, 2.5, 4)
            moved[2:] = np.maximum(moved[2:], 1)
            other = int(rng.integers(0, 4)) if rng.random() < 0.15 else label
            guesses.append((cast(Box, tuple(moved.tolist())), other))
    for _, (x, y, w, h) in regions:
        for _ in range(12):
            shift, scale = rng.uniform(-40, 40, 2).tolist(), rng.uniform(0.2, 1.2, 2).tolist()
            near = (x + shift[0], y + shift[1], w * scale[0], h * scale[1])
            guesses.append((near, int(rng.integers(0, 4))))
    rng.shuffle(guesses)
    return [
        row(image_id, box, float(rng.integers(0, 50)) / 50, label + 1) for box, label in guesses
    ]
