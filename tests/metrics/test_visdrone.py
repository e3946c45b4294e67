"""``visdrone-official`` against plain loops over the steps of the toolkit, which share no code."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from sobench.compare.bootstrap import draw_weights, resample
from sobench.data.dataset import Dataset
from sobench.data.formats import visdrone
from sobench.metrics.detections import DetectionRow, tabulate
from sobench.suite.datasets import VisDroneData
from sobench.suite.protocols import PROTOCOLS
from tests.metrics.family_cases import drone_case, scored
from tests.metrics.scoring_cases import annotated, dataset_of, match, row
from tests.stored_rows import rows_of

OFFICIAL = PROTOCOLS["visdrone-official"]
REAL = Path(os.environ.get("SOBENCH_DATA", "datasets")) / "VisDrone"
THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
LIMITS = [1, 10, 100, 500]

Numbers = list[float]


@dataclass
class Scene:
    """One image as the toolkit holds it: objects ``[x, y, w, h, ignore]`` by class, and rows."""

    width: int
    height: int
    regions: list[Numbers] = field(default_factory=list)
    objects: list[tuple[int, Numbers, int]] = field(default_factory=list)
    rows: list[tuple[int, Numbers, float]] = field(default_factory=list)


def scenes_of(dataset: Dataset, rows: list[DetectionRow]) -> list[Scene]:
    scenes = {}
    for image in dataset.images:
        scene = scenes[image.id] = Scene(image.width, image.height)
        for label, (x1, y1, x2, y2) in zip(image.labels, image.boxes.tolist(), strict=True):
            scene.objects.append((int(label), [x1, y1, x2 - x1, y2 - y1], 0))
        for label, (x1, y1, x2, y2) in zip(image.ignore_labels, image.ignore.tolist(), strict=True):
            box = [x1, y1, x2 - x1, y2 - y1]
            if label < 0:
                scene.regions.append(box)
            else:
                scene.objects.append((int(label), box, 1))
    for found in rows_of(tabulate(rows, "rows")):
        label = dataset.category_ids.index(found["category_id"])
        scenes[found["image_id"]].rows.append((label, found["bbox"], found["score"]))
    return list(scenes.values())


def half_up(value: float) -> int:
    return int(np.floor(value + 0.5))


def lies_inside(box: Numbers, mask: set[tuple[int, int]], scene: Scene) -> bool:
    """Step 1, pixel by pixel; pixels are numbered from 1."""
    x, y, w, h = (max(1, half_up(value)) for value in box)
    x, y = min(x, scene.width), min(y, scene.height)
    inside = 0
    for column in range(x + 1, min(scene.width, x + w) + 1):
        for line in range(y + 1, min(scene.height, y + h) + 1):
            inside += (column, line) in mask
    return inside / (w * h) >= 0.5


def without_ignored(scene: Scene) -> Scene:
    if not scene.regions:
        return scene
    mask = set()
    for box in scene.regions:
        x, y, w, h = (max(1, half_up(value)) for value in box)
        for column in range(x, min(scene.width, x + w) + 1):
            for line in range(y, min(scene.height, y + h) + 1):
                mask.add((column, line))
    return Scene(
        scene.width, scene.height, [],
        [entry for entry in scene.objects if not lies_inside(entry[1], mask, scene)],
        [entry for entry in scene.rows if not lies_inside(entry[1], mask, scene)],
    )  # fmt: skip


def overlap(found: Numbers, real: Numbers, ignore: int) -> float:
    width = min(found[0] + found[2], real[0] + real[2]) - max(found[0], real[0])
    height = min(found[1] + found[3], real[1] + real[3]) - max(found[1], real[1])
    if width <= 0 or height <= 0:
        return 0.0
    own = found[2] * found[3]
    return width * height / (own if ignore else own + real[2] * real[3] - width * height)


def matched(scene: Scene, label: int, threshold: float, limit: int) -> list[tuple[float, int]]:
    """Score and outcome of the detections of a class: 1 right, 0 wrong, -1 neither."""
    real = sorted(((ignore, box) for k, box, ignore in scene.objects if k == label),
                  key=lambda entry: entry[0])  # fmt: skip
    rows = sorted(((score, box) for k, box, score in scene.rows[:limit] if k == label),
                  key=lambda entry: -entry[0])  # fmt: skip
    taken: set[int] = set()
    outcomes = []
    for score, box in rows:
        best, chosen = threshold, -1
        for number, (ignore, object_) in enumerate(real):
            if number in taken:
                continue
            if chosen >= 0 and ignore:
                break
            share = overlap(box, object_, ignore)
            if share >= best:
                best, chosen = share, number
        if chosen < 0:
            outcomes.append((score, 0))
        elif real[chosen][0]:
            outcomes.append((score, -1))
        else:
            taken.add(chosen)
            outcomes.append((score, 1))
    return outcomes


def area_under_curve(outcomes: list[tuple[float, int]], objects: int) -> float:
    right = wrong = 0
    recalls, precisions = [0.0], [0.0]
    for _, outcome in outcomes:
        right += outcome == 1
        wrong += outcome == 0
        recalls.append(right / max(1, objects))
        precisions.append(right / max(1, right + wrong))
    recalls.append(1.0)
    precisions.append(0.0)
    for number in range(len(precisions) - 2, -1, -1):
        precisions[number] = max(precisions[number], precisions[number + 1])
    return sum(
        (recalls[n] - recalls[n - 1]) * precisions[n]
        for n in range(1, len(recalls))
        if recalls[n] != recalls[n - 1]
    )


def toolkit(dataset: Dataset, rows: list[DetectionRow]) -> dict[str, float]:
    """All metrics, from step 1 to step 6."""
    scenes = [without_ignored(scene) for scene in scenes_of(dataset, rows)]
    of_classes: dict[str, dict[int, float]] = defaultdict(dict)
    images: dict[int, int] = {}
    for label in range(len(dataset.classes)):
        held = [sum(k == label for k, _, _ in scene.objects) for scene in scenes]
        images[label] = sum(number > 0 for number in held)
        aps, recalls = [], defaultdict(list)
        for threshold in THRESHOLDS:
            for limit in LIMITS:
                outcomes = [o for s in scenes for o in matched(s, label, threshold, limit)]
                outcomes.sort(key=lambda entry: -entry[0])
                right = sum(outcome == 1 for _, outcome in outcomes)
                recalls[limit].append(right / max(1, sum(held)))
            aps.append(area_under_curve(outcomes, sum(held)))
        of_classes["AP"][label] = sum(aps) / 10
        of_classes["AP50"][label] = aps[0]
        of_classes["AP75"][label] = aps[5]
        for limit in LIMITS:
            of_classes[f"AR@{limit}"][label] = sum(recalls[limit]) / 10
    total, here = sum(images.values()), [label for label in images if images[label]]
    metrics = {
        name: sum(images[label] * values[label] for label in here) / total
        for name, values in of_classes.items()
    }
    plain = {
        f"{name}_class": sum(values[label] for label in here) / len(here)
        for name, values in of_classes.items()
    }
    return metrics | plain


@pytest.mark.parametrize("seed", range(1))
def test_equal_to_plain_loops_on_drawn_images(seed: int) -> None:
    dataset, rows = drone_case(seed)
    assert max(sum(r["image_id"] == i.id for r in rows) for i in dataset.images) > 300
    metrics = scored(dataset, rows, "visdrone-official").metrics
    assert metrics == pytest.approx(toolkit(dataset, rows), abs=1e-12)
    assert len({round(value or 0, 6) for value in metrics.values()}) > 10
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    rows = [{**r, "score": place / len(rows)} for r, place in zip(rows, order, strict=True)]
    # A resample is the data set in which images stand as often.
    counts = np.random.default_rng(seed).integers(0, 3, len(dataset.images))
    found = resample(match(dataset, rows, OFFICIAL), counts[:, None].astype(float)).metrics
    expected = toolkit(*repeated(dataset, rows, counts.tolist()))
    assert {n: v[0] for n, v in found.items()} == pytest.approx(expected, abs=1e-12)


def repeated(
    dataset: Dataset, rows: list[DetectionRow], counts: list[int]
) -> tuple[Dataset, list[DetectionRow]]:
    """Images as often as they count."""
    images, of_images = [], []
    for image, count in zip(dataset.images, counts, strict=True):
        for copy in range(count):
            number = 100 * image.id + copy
            images.append(replace(image, id=number))
            of_images += [{**r, "image_id": number} for r in rows if r["image_id"] == image.id]
    return replace(dataset, images=tuple(images)), of_images  # type: ignore[return-value]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no {REAL}: set SOBENCH_DATA")
def test_equal_to_plain_loops_on_real_annotations() -> None:
    """The first images of val, with detections around objects and in ignored regions."""
    dataset = visdrone.read(REAL, VisDroneData(format="visdrone", root=str(REAL)), "val").first(5)
    rng = np.random.default_rng(0)
    rows: list[DetectionRow] = []
    for image in dataset.images:
        labels = np.append(image.labels, image.ignore_labels).tolist()
        for label, (x1, y1, x2, y2) in zip(
            labels, np.vstack([image.boxes, image.ignore]).tolist(), strict=True
        ):
            sides = np.array([x1, y1, x2 - x1, y2 - y1])
            for _ in range(int(rng.integers(0, 12))):
                x, y, w, h = (sides + rng.normal(0, 0.1, 4) * np.tile(sides[2:], 2)).tolist()
                other = int(rng.integers(0, 10)) if label < 0 or rng.random() < 0.1 else label
                score = float(rng.integers(0, 100)) / 100
                rows.append(row(image.id, (x, y, max(w, 1), max(h, 1)), score, other + 1))
    rows = [rows[place] for place in rng.permutation(len(rows)).tolist()]
    assert max(sum(r["image_id"] == image.id for r in rows) for image in dataset.images) > 500
    metrics = scored(dataset, rows, "visdrone-official").metrics
    assert metrics == pytest.approx(toolkit(dataset, rows), abs=1e-12)


def test_by_hand() -> None:
    """Two classes, of which the first is in two images and the second in one."""
    a, b = (10, 10, 20, 20), (100, 10, 20, 20)
    dataset = dataset_of(
        annotated(1, [(0, a), (1, b)]), annotated(2, [(0, a)]), classes=("car", "van")
    )
    metrics = scored(dataset, [row(1, a, 0.9), row(2, a, 0.8)], "visdrone-official").metrics
    assert [metrics["AP"], metrics["AP_class"]] == pytest.approx([2 / 3, 0.5])
    assert [metrics["AR@1"], metrics["AR@500_class"]] == pytest.approx([2 / 3, 0.5])


def test_half_of_the_own_area_in_ignored_regions_removes_a_box() -> None:
    """The region covers the pixels 10 to 30; of a box at 20 the pixels from 21 on are counted."""
    region = (-1, (10, 10, 20, 20))
    for width, remains in ((20, False), (21, True)):  # 10 of 20 columns, and 10 of 21
        box = (20, 11, width, 10)
        dataset = dataset_of(annotated(1, [(0, box)], [region]))
        matches = match(dataset, [row(1, box, 0.9)], OFFICIAL)
        assert len(matches.object_image) == len(matches.score) == int(remains)


def test_an_object_of_score_0_takes_detections_and_counts_in_recall() -> None:
    a, b = (10, 10, 20, 20), (100, 10, 20, 20)
    dataset = dataset_of(annotated(1, [(0, a)], [(0, b)]))
    inside = (105, 12, 5, 5)  # overlaps are shares of the detection
    rows = [row(1, b, 0.9), row(1, inside, 0.8), row(1, a, 0.7)]
    metrics = scored(dataset, rows, "visdrone-official").metrics
    assert [metrics["AP50"], metrics["AR@500"]] == [0.5, 0.5]
    assert metrics["AR@1"] == 0


def test_limits_are_of_the_first_rows_whatever_their_class_and_score() -> None:
    a, b = (10, 10, 20, 20), (100, 10, 20, 20)
    dataset = dataset_of(annotated(1, [(0, a), (1, b)]), classes=("car", "van"))
    rows = [row(1, b, 0.1, 2), row(1, a, 0.9)]
    metrics = scored(dataset, rows, "visdrone-official")
    assert metrics.metrics["AR@1"] == 0.5
    assert metrics.metrics["AR@10"] == 1
    assert metrics.per_class["car"]["AR"] == 1
    # At limit 1 the surer row takes nothing away: IoU .67, at 4 of 10 thresholds, of 1 of 2 cars.
    rows = [row(1, (14, 10, 20, 20), 0.1), row(1, a, 0.9)]
    assert scored(dataset, rows, "visdrone-official").metrics["AR@1"] == pytest.approx(0.2)


def test_nothing_annotated_and_nothing_detected() -> None:
    a = (10, 10, 20, 20)
    empty = scored(dataset_of(annotated(1)), [row(1, a, 0.5)], "visdrone-official")
    assert set(empty.metrics.values()) == {None}
    none = scored(dataset_of(annotated(1, [(0, a)])), [], "visdrone-official")
    assert set(none.metrics.values()) == {0}
    assert draw_weights(1, 2).shape == (1, 2)
