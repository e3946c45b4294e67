"""``voc07`` and ``voc12`` by hand, and against plain loops with the devkit's inclusive pixels."""

from __future__ import annotations

import numpy as np
import pytest

from sobench.data.dataset import AnnotatedImage, Dataset
from sobench.metrics.detections import DetectionRow
from tests.metrics.family_cases import scored
from tests.metrics.scoring_cases import COCO, A, B, Box, C, annotated, dataset_of, row, score


def test_by_hand() -> None:
    """Right, a second detection of the same, difficult, right, wrong; one of three is missed."""
    dataset = dataset_of(annotated(1, [(0, A), (0, B)], [(0, C)]), annotated(2, [(0, A)]))
    rows = [
        row(1, A, 0.9), row(1, (12, 10, 20, 20), 0.8), row(1, C, 0.75), row(2, A, 0.7),
        row(2, C, 0.6),
    ]  # fmt: skip
    found = scored(dataset, rows, "voc12")
    assert found.metrics["AP50"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert found.metrics["AR50"] == pytest.approx(2 / 3)
    assert found.per_class["car"]["ground_truth"] == 3
    # The recalls 0, .1, .2, .3 at a precision of 1, and .4, .5, .6 at 2/3.
    assert scored(dataset, rows, "voc07").metrics["AP50"] == pytest.approx((4 + 3 * 2 / 3) / 11)
    curve = found.curves["car"]["0.50"]
    assert [curve[n] for n in (33, 34, 66, 67)] == pytest.approx([1, 2 / 3, 2 / 3, 0])
    assert found.engine.startswith("sobench ")


def test_a_detection_of_a_found_object_does_not_take_the_next_best() -> None:
    boxes: list[Box] = [(0, 0, 10, 10), (2, 0, 10, 10)]
    dataset = dataset_of(annotated(1, [(0, box) for box in boxes]))
    rows = [row(1, boxes[0], 0.9), row(1, (0.5, 0, 10, 10), 0.8)]
    assert scored(dataset, rows, "voc12").metrics == {"AP50": 0.5, "AR50": 0.5}
    assert score(dataset, rows, COCO).per_class["car"]["AP50"] == pytest.approx(1)


def test_overlaps_are_those_of_inclusive_pixels() -> None:
    """Columns 1 to 10 and 1 to 5 have an IoU of 5/10; without the 1 it would be 4/9."""
    dataset = dataset_of(annotated(1, [(0, (0, 0, 10, 10))]))
    assert scored(dataset, [row(1, (0, 0, 5, 10), 0.9)], "voc07").metrics["AP50"] == 1
    assert scored(dataset, [row(1, (0, 0, 4.99, 10), 0.9)], "voc07").metrics["AP50"] == 0


def test_a_class_without_objects_and_a_set_without_detections() -> None:
    dataset = dataset_of(annotated(1, [(0, A)]), classes=("car", "van"))
    found = scored(dataset, [], "voc07")
    assert found.metrics == {"AP50": 0, "AR50": 0}
    assert found.per_class["van"] == {"AP50": None, "AR50": None, "ground_truth": 0}
    assert found.curves["van"]["0.50"] == [None] * 101


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_loops_of_the_devkit(seed: int) -> None:
    dataset, rows = drawn(seed)
    for protocol, points in (("voc07", 11), ("voc12", 0)):
        per_class = scored(dataset, rows, protocol).per_class
        for label, name in enumerate(dataset.classes):
            expected = devkit(dataset, rows, label, points)
            assert per_class[name]["AP50"] == pytest.approx(expected, abs=1e-12)
            assert 0.05 < expected < 0.95


def drawn(seed: int) -> tuple[Dataset, list[DetectionRow]]:
    """Crowded images of whole numbers, a fifth of the objects difficult; all scores differ."""
    rng = np.random.default_rng(seed)
    images: list[AnnotatedImage] = []
    rows: list[DetectionRow] = []
    scores = rng.permutation(2000) / 2000
    for image_id in range(1, 21):
        entries = []
        for _ in range(int(rng.integers(0, 20))):
            box = np.hstack([rng.integers(0, 60, 2), rng.integers(5, 40, 2)])
            label = int(rng.integers(0, 2))
            entries.append((label, tuple(box.tolist()), rng.random() < 0.2))
            for _ in range(int(rng.integers(0, 4))):
                x, y, w, h = (box + rng.integers(-4, 5, 4)).tolist()
                found: Box = (x, y, max(w, 1), max(h, 1))
                rows.append(row(image_id, found, float(scores[len(rows)]), label + 1))
        images.append(
            annotated(
                image_id,
                [(label, box) for label, box, difficult in entries if not difficult],
                [(label, box) for label, box, difficult in entries if difficult],
            )
        )
    return dataset_of(*images, classes=("car", "van")), rows


def devkit(dataset: Dataset, rows: list[DetectionRow], label: int, points: int) -> float:
    """AP of a class; boxes become first and last pixel, numbered from 1."""
    real: dict[int, list[tuple[list[float], bool]]] = {}
    for image in dataset.images:
        boxes = np.vstack([image.boxes[image.labels == label],
                           image.ignore[image.ignore_labels == label]])  # fmt: skip
        number = int((image.labels == label).sum())
        real[image.id] = [
            ([x1 + 1, y1 + 1, x2, y2], place >= number)
            for place, (x1, y1, x2, y2) in enumerate(boxes.tolist())
        ]
    objects = sum(not difficult for of_image in real.values() for _, difficult in of_image)
    taken, right, wrong = set(), 0, 0
    recalls, precisions = [], []
    mine = [r for r in rows if r["category_id"] == label + 1]
    for found in sorted(mine, key=lambda r: -r["score"]):
        x, y, w, h = found["bbox"]
        best, chosen = -np.inf, -1
        for place, (box, _) in enumerate(real[found["image_id"]]):
            width = min(x + w, box[2]) - max(x + 1, box[0]) + 1
            height = min(y + h, box[3]) - max(y + 1, box[1]) + 1
            if width <= 0 or height <= 0:
                continue
            own = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
            share = width * height / (w * h + own - width * height)
            if share > best:
                best, chosen = share, place
        key = (found["image_id"], chosen)
        if best < 0.5:
            wrong += 1
        elif not real[found["image_id"]][chosen][1]:
            right, wrong = (right, wrong + 1) if key in taken else (right + 1, wrong)
            taken.add(key)
        recalls.append(right / objects)
        precisions.append(right / max(1, right + wrong))
    if points:
        reached = [[p for r, p in zip(recalls, precisions, strict=True) if r >= t]
                   for t in np.linspace(0, 1, points)]  # fmt: skip
        return sum(max(of_point, default=0.0) for of_point in reached) / points
    area, before = 0.0, 0.0
    for place, recall in enumerate(recalls):
        area += (recall - before) * max(precisions[place:])
        before = recall
    return area
