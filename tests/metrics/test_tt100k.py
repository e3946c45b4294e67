"""``tt100k``: signs on the borders of the sizes, cut-offs, and plain loops as the official code."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from sobench.data.dataset import Dataset
from sobench.metrics.detections import DetectionRow
from sobench.suite.protocols import PROTOCOLS
from tests.metrics.family_cases import scored
from tests.metrics.scoring_cases import A, B, Box, C, annotated, dataset_of, row, score

SIDES = {"": (0, 400), "_S": (0, 32), "_M": (32, 96), "_L": (96, 400)}


def test_sizes_are_half_open_ranges_of_the_longest_side() -> None:
    """Signs of 31.9, 32, 96, 399.9 and 400 px: one small, one medium, two large, one left out."""
    signs: list[Box] = [
        (0, 0, 31.9, 10), (0, 50, 10, 32), (0, 100, 96, 50), (0, 200, 399.9, 100),
        (500, 500, 400, 80),
    ]  # fmt: skip
    dataset = dataset_of(annotated(1, [(0, sign) for sign in signs]))
    found = [signs[0], signs[2], signs[4]]  # the last of them counts neither way
    metrics = scored(dataset, [row(1, box, 0.9) for box in found], "tt100k").metrics
    recalls = {size: metrics[f"recall{size}"] for size in SIDES}
    assert recalls == {"": 2 / 4, "_S": 1, "_M": 0, "_L": 1 / 2}
    assert {metrics[f"accuracy{size}"] for size in SIDES} == {1}
    assert metrics["F1"] == pytest.approx(2 * 2 / (2 + 4))
    assert metrics["F1_M"] == 0


def test_a_wrong_detection_counts_in_the_sizes_that_it_has() -> None:
    """Of 31.9, 32 and 400 px; the last one counts nowhere."""
    dataset = dataset_of(annotated(1, [(0, (0, 0, 20, 20)), (0, (50, 0, 40, 40))]))
    rows = [row(1, (600, y, side, 10), 0.9) for y, side in ((0, 31.9), (50, 32), (100, 400))]
    rows += [row(1, (0, 0, 20, 20), 0.5), row(1, (50, 0, 40, 40), 0.4499)]
    metrics = scored(dataset, rows, "tt100k").metrics
    assert [metrics[f"accuracy{size}"] for size in SIDES] == [1 / 3, 1 / 2, 0, None]
    assert [metrics[f"recall{size}"] for size in SIDES] == [1 / 2, 1, 0, None]
    # From .40 on, 2 of 4 are right, of 2 signs.
    assert metrics["best_F1"] == pytest.approx(2 * 2 / (4 + 2))
    assert metrics["best_cutoff"] == 0.4


def test_the_greatest_overlap_goes_first_and_the_score_does_not_count() -> None:
    dataset = dataset_of(annotated(1, [(0, A)]))
    rows = [row(1, (14, 10, 20, 20), 0.9), row(1, A, 0.6)]
    assert scored(dataset, rows, "tt100k").metrics["accuracy"] == 0.5
    # A detection below the cut-off takes no sign away.
    rows = [row(1, (14, 10, 20, 20), 0.9), row(1, A, 0.45)]
    assert scored(dataset, rows, "tt100k").metrics["accuracy"] == 1
    # An IoU of just .50 is too little.
    rows = [row(1, (10, 10, 20, 10), 0.9)]
    assert scored(dataset, rows, "tt100k").metrics["recall"] == 0


def test_images_without_detections_count_and_other_signs_do_not() -> None:
    dataset = dataset_of(annotated(1, [(0, A)], [(-1, C)]), annotated(2, [(0, B)]))
    metrics = scored(dataset, [row(1, A, 0.9), row(1, C, 0.9)], "tt100k").metrics
    assert (metrics["recall"], metrics["accuracy"]) == (0.5, 0.5)  # C is wrong as a car
    nothing = scored(dataset, [], "tt100k").metrics
    assert (nothing["accuracy"], nothing["recall"], nothing["F1"]) == (1, 0, 0)
    assert scored(dataset_of(annotated(1)), [], "tt100k").metrics["F1"] is None


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_plain_loops_and_to_coco(seed: int) -> None:
    dataset, rows = drawn(seed)
    found = scored(dataset, rows, "tt100k")
    best = (0.0, 0.0)
    for number in range(1, 20):
        f1 = official(dataset, rows, number / 20, SIDES[""])["F1"]
        best = max(best, (f1, number / 20))
    assert (found.metrics["best_F1"], found.metrics["best_cutoff"]) == pytest.approx(best)
    for size, sides in SIDES.items():
        for name, value in official(dataset, rows, 0.5, sides).items():
            assert found.metrics[f"{name}{size}"] == pytest.approx(value, abs=1e-12), name + size
    for name, value in official(dataset, rows, 0.5, SIDES[""], "van").items():
        assert found.per_class["van"][name] == pytest.approx(value, abs=1e-12)
    besides = score(dataset, rows, PROTOCOLS["coco-bins50"])
    assert {n: found.metrics[n] for n in besides.metrics} == pytest.approx(
        besides.metrics, abs=1e-9
    )
    for name, values in besides.per_class.items():
        assert {n: found.per_class[name][n] for n in values} == pytest.approx(values, abs=1e-9)
        for iou, curve in besides.curves[name].items():
            assert found.curves[name][iou] == pytest.approx(curve, abs=1e-9)


def drawn(seed: int) -> tuple[Dataset, list[DetectionRow]]:
    """Signs of 8 to 460 px, on the borders too, and more than 100 detections of one class."""
    rng = np.random.default_rng(seed)
    images, rows = [], []
    for image_id in range(1, 13):
        count = int(rng.integers(0, 15))
        sides = rng.choice([8, 16, 31, 32, 40, 95, 96, 120, 399, 400, 460], (count, 2))
        boxes = np.hstack([rng.integers(0, 540, (count, 2)), sides]).astype(float)
        labels = rng.integers(0, 2, count).tolist()
        objects = [(k, cast(Box, tuple(b))) for k, b in zip(labels, boxes.tolist(), strict=True)]
        images.append(annotated(image_id, objects))
        for label, box in zip(labels, boxes, strict=True):
            for _ in range(60 if image_id == 1 else int(rng.integers(0, 5))):
                moved = box + rng.normal(0, 0.12, 4) * np.tile(box[2:], 2)
                moved[2:] = moved[2:].clip(1)
                other = label if rng.random() < 0.9 else 1 - label
                value = float(rng.integers(0, 100)) / 100
                rows.append(row(image_id, cast(Box, tuple(moved.tolist())), value, other + 1))
    return dataset_of(*images, classes=("car", "van")), rows


def official(
    dataset: Dataset,
    rows: list[DetectionRow],
    cutoff: float,
    sides: tuple[float, float],
    only: str = "",
) -> dict[str, float]:
    """F1, accuracy and recall as ``eval_annos`` counts, over all images."""
    low, high = sides
    right = detections = signs = 0
    for image in dataset.images:
        real = [
            (int(k), [x1, y1, x2 - x1, y2 - y1])
            for k, (x1, y1, x2, y2) in zip(image.labels, image.boxes.tolist(), strict=True)
            if only in ("", dataset.classes[int(k)])
        ]
        found = [
            (r["category_id"] - 1, [round(side, 3) for side in r["bbox"]])
            for r in rows
            if r["image_id"] == image.id and r["score"] >= cutoff
            and only in ("", dataset.classes[r["category_id"] - 1])
        ]  # fmt: skip
        pairs = []
        for g, (label, a) in enumerate(real):
            for d, (guess, b) in enumerate(found):
                width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
                height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
                if label == guess and width > 0 and height > 0:
                    shared = width * height
                    iou = shared / (a[2] * a[3] + b[2] * b[3] - shared)
                    if iou > 0.5:
                        pairs.append((iou, g, d))
        taker, sign_of = {}, {}
        for _, g, d in sorted(pairs, key=lambda pair: -pair[0]):
            if g not in taker and d not in sign_of:
                taker[g], sign_of[d] = d, g
        inside = {g for g, (_, box) in enumerate(real) if low <= max(box[2:]) < high}
        signs += len(inside)
        right += sum(g in inside for g in taker)
        for d, (_, box) in enumerate(found):
            if d in sign_of:
                detections += sign_of[d] in inside
            else:
                detections += low <= max(box[2:]) < high
    accuracy = right / detections if detections else 1.0
    return {"F1": 2 * right / (detections + signs), "accuracy": accuracy, "recall": right / signs}
