from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest

from sobench.data.dataset import EVERY_CLASS, AnnotatedImage, Dataset, as_boxes, as_labels
from sobench.data.formats import coco
from sobench.errors import DataError, RequestError
from sobench.metrics.coco import Scores, score
from sobench.metrics.detections import DetectionRow, read_rows, write_rows
from sobench.suite.datasets import CocoData
from sobench.suite.protocols import INFINITE_AREA, PROTOCOLS, Protocol

Engine = Literal["hotcoco", "pycocotools"]
ENGINES: tuple[Engine, ...] = ("hotcoco", "pycocotools")
REFERENCE = Path(__file__).parents[2].parent / "shared/data/eval_reference/coco_val2014_100"
COCO = PROTOCOLS["coco"]
Box = tuple[float, float, float, float]

both_engines = pytest.mark.parametrize("engine", ENGINES)


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
                np.testing.assert_allclose(
                    first[name][key], second[name][key], rtol=0, atol=tolerance, err_msg=key
                )


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


# --- the published reference -----------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> tuple[Dataset, list[DetectionRow], dict[str, Any]]:
    if not REFERENCE.is_dir():
        pytest.skip("the COCO reference detections are not on this machine")
    name = "instances_val2014_100.json"
    spec = CocoData(format="coco", root=str(REFERENCE), train=name, val=name)
    dataset = coco.read(REFERENCE, spec, "val")
    rows = json.loads((REFERENCE / "instances_val2014_fakebbox100_results.json").read_text())
    expected = json.loads((REFERENCE / "EXPECTED.json").read_text())
    return dataset, rows, expected


PUBLISHED = {
    "AP": "AP",
    "AP50": "AP50",
    "AP75": "AP75",
    "AP_S": "APsmall",
    "AP_M": "APmedium",
    "AP_L": "APlarge",
    "AR@1": "AR1",
    "AR@10": "AR10",
    "AR@100": "AR100",
    "AR_S": "ARsmall",
    "AR_M": "ARmedium",
    "AR_L": "ARlarge",
}


@both_engines
def test_published_numbers(
    reference: tuple[Dataset, list[DetectionRow], dict[str, Any]], engine: Engine
) -> None:
    dataset, rows, expected = reference
    metrics = score(dataset, rows, COCO, engine).metrics
    assert list(metrics) == list(PUBLISHED)
    assert {k: round(v, 3) for k, v in metrics.items()} == {
        key: expected[name] for key, name in PUBLISHED.items()
    }


@both_engines
def test_equal_to_cocoeval_on_the_files(
    reference: tuple[Dataset, list[DetectionRow], dict[str, Any]], engine: Engine
) -> None:
    from pycocotools import coco as files
    from pycocotools.cocoeval import COCOeval

    dataset, rows, _ = reference
    with contextlib.redirect_stdout(io.StringIO()):
        truth = files.COCO(str(REFERENCE / "instances_val2014_100.json"))
        found = truth.loadRes(str(REFERENCE / "instances_val2014_fakebbox100_results.json"))
        official = COCOeval(truth, found, "bbox")
        official.evaluate()
        official.accumulate()
        official.summarize()
    metrics = score(dataset, rows, COCO, engine).metrics
    assert list(metrics.values()) == pytest.approx(official.stats.tolist(), abs=1e-12)


# --- the engines agree -----------------------------------------------------------------------


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
    "test bins",
    1,
    (1, 3, 7),
    {"XS": (0.0, 60.0), "S": (60.0, 250.0), "M": (250.0, INFINITE_AREA), "none": (5e8, 6e8)},
)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("protocol", [COCO, CUSTOM, replace(CUSTOM, ignore_regions="crowd")])
def test_engines_agree(capfd: pytest.CaptureFixture[str], seed: int, protocol: Protocol) -> None:
    dataset, rows = random_case(seed)
    results = [quiet_score(capfd, dataset, rows, protocol, engine) for engine in ENGINES]
    assert_same(results[0], results[1], 1e-9)
    assert 0 < results[0].metrics["AP"] < 1
    assert math.isnan(results[0].per_class["tram"]["AP"])
    assert all(math.isnan(p) for p in results[0].curves["tram"]["mean"])
    if protocol is not COCO:
        assert math.isnan(results[0].metrics["AP_none"])
        assert math.isnan(results[0].metrics["AR_none"])


@both_engines
def test_summary_agrees_with_its_parts(engine: Engine) -> None:
    dataset, rows = random_case(0)
    result = score(dataset, rows, CUSTOM, engine)
    known = [values for values in result.per_class.values() if values["ground_truth"]]
    assert len(known) == 3
    for key, curve in (("AP", "mean"), ("AP50", "0.50"), ("AP75", "0.75")):
        assert result.metrics[key] == pytest.approx(np.mean([v[key] for v in known]))
        assert result.metrics[key] == pytest.approx(np.mean(result.curves["all"][curve]))
        for name in ("car", "van", "bus"):
            assert len(result.curves[name][curve]) == 101
            assert result.per_class[name][key] == pytest.approx(np.mean(result.curves[name][curve]))
    assert result.metrics["AR@7"] == pytest.approx(np.mean([v["AR"] for v in known]))
    assert sum(v["ground_truth"] for v in known) == sum(len(i.labels) for i in dataset.images)
    assert result.engine.startswith(f"{engine} ")
    assert result.engine[-1].isdigit()
    assert result.protocol is CUSTOM


# --- by hand ---------------------------------------------------------------------------------

A: Box = (10, 10, 20, 20)
B: Box = (100, 10, 20, 20)
C: Box = (200, 10, 20, 20)


@both_engines
def test_one_perfect_box(engine: Engine) -> None:
    result = score(dataset_of(annotated(1, [(0, A)])), [row(1, A, 0.5)], COCO, engine)
    for key in ("AP", "AP50", "AP75", "AP_S", "AR@1", "AR@10", "AR@100", "AR_S"):
        assert result.metrics[key] == pytest.approx(1)
    for key in ("AP_M", "AP_L", "AR_M", "AR_L"):
        assert math.isnan(result.metrics[key])
    assert result.per_class["car"]["ground_truth"] == 1
    assert result.curves["car"] == result.curves["all"]


@both_engines
def test_iou_decides_the_thresholds_met(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, (0, 0, 10, 10))]))
    metrics = score(dataset, [row(1, (0, 0, 10, 7.5), 0.5)], COCO, engine).metrics
    assert metrics["AP75"] == pytest.approx(1)
    assert metrics["AP"] == pytest.approx(0.6)  # .50 to .75 of ten
    assert metrics["AR@100"] == pytest.approx(0.6)


@both_engines
def test_duplicate_is_a_false_detection(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A), (0, B)]))
    rows = [row(1, A, 0.9), row(1, A, 0.8), row(1, B, 0.7)]
    result = score(dataset, rows, COCO, engine)
    assert result.metrics["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result.curves["car"]["mean"] == pytest.approx([1] * 51 + [2 / 3] * 50)


@both_engines
def test_miss(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]), annotated(2, [(0, A)]))
    metrics = score(dataset, [row(2, A, 0.9)], COCO, engine).metrics
    assert metrics["AP"] == pytest.approx(51 / 101)
    assert metrics["AR@100"] == pytest.approx(0.5)


@both_engines
def test_detections_on_an_empty_image_count(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]), annotated(2))
    rows = [row(2, A, 0.9), row(1, A, 0.8)]
    assert score(dataset, rows, COCO, engine).metrics["AP"] == pytest.approx(0.5)


@both_engines
def test_limit_is_per_image_and_class(engine: Engine) -> None:
    """Two of three cars fit under the limit of 2; buses and the second image have their own."""
    dataset = dataset_of(
        annotated(1, [(0, A), (0, B), (0, C), (1, A), (1, B)]),
        annotated(2, [(1, A)]),
        classes=("car", "bus"),
    )
    rows = [row(1, box, 0.9 - i / 10) for i, box in enumerate((A, B, C))]
    rows += [row(1, A, 0.3, 2), row(1, B, 0.2, 2), row(2, A, 0.1, 2)]
    result = score(dataset, rows, Protocol("two", 1, (1, 2), {}), engine)
    assert result.per_class["car"]["AP"] == pytest.approx(67 / 101)  # recall up to 2/3
    assert result.per_class["bus"]["AP"] == pytest.approx(1)
    assert result.metrics["AR@1"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert result.metrics["AR@2"] == pytest.approx((2 / 3 + 1) / 2)
    assert list(result.metrics) == ["AP", "AP50", "AP75", "AR@1", "AR@2"]


@both_engines
def test_bins_include_both_ends_of_the_annotated_area(engine: Engine) -> None:
    protocol = Protocol("edges", 1, (100,), {"lo": (0, 100), "mid": (100, 200), "hi": (200, 300)})
    dataset = dataset_of(annotated(1, [(0, A)], areas=[100.0]))  # the box itself has 400
    metrics = score(dataset, [row(1, A, 0.5)], protocol, engine).metrics
    assert metrics["AP_lo"] == pytest.approx(1)
    assert metrics["AP_mid"] == pytest.approx(1)
    assert math.isnan(metrics["AP_hi"])


@both_engines
def test_unmatched_detections_outside_a_bin_do_not_count(engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]))
    rows = [row(1, (300, 300, 100, 100), 0.9), row(1, A, 0.5)]
    metrics = score(dataset, rows, COCO, engine).metrics
    assert metrics["AP"] == pytest.approx(0.5)
    assert metrics["AP_S"] == pytest.approx(1)


CROWDED = [
    row(1, A, 0.5),
    row(1, (510, 510, 20, 20), 0.9),
    row(1, (540, 510, 20, 20), 0.8),
    row(1, (570, 510, 20, 20), 0.7),
]
REGION: Box = (500, 500, 100, 100)


@both_engines
@pytest.mark.parametrize(
    ("label", "treatment", "expected"),
    [
        (0, "drop", 1),
        (0, "crowd", 1),
        (1, "drop", 0.25),
        (1, "crowd", 0.25),
        (EVERY_CLASS, "drop", 0.25),
        (EVERY_CLASS, "crowd", 1),
    ],
)
def test_ignore_regions(engine: Engine, label: int, treatment: str, expected: float) -> None:
    dataset = dataset_of(annotated(1, [(0, A)], [(label, REGION)]), classes=("car", "bus"))
    result = score(dataset, CROWDED, replace(COCO, ignore_regions=treatment), engine)
    assert result.metrics["AP"] == pytest.approx(expected)
    assert result.per_class["car"]["ground_truth"] == 1
    assert math.isnan(result.per_class["bus"]["AP"])


@both_engines
def test_order_of_classes_is_the_datasets(engine: Engine) -> None:
    dataset = dataset_of(
        annotated(1, [(0, A), (1, B), (2, C)]),
        classes=("car", "bus", "van"),
        category_ids=(30, 10, 20),
    )
    rows = [row(1, A, 0.5, 30), row(1, A, 0.9, 20), row(1, C, 0.5, 20)]
    per_class = score(dataset, rows, COCO, engine).per_class
    assert [values["AP"] for values in per_class.values()] == pytest.approx([1, 0, 0.5])


@both_engines
@pytest.mark.parametrize("ids", [(2**60 + 3, 2**60 + 1), (-5, 0)])
def test_any_integer_is_an_id(
    capfd: pytest.CaptureFixture[str], engine: Engine, ids: tuple[int, int]
) -> None:
    dataset = dataset_of(
        annotated(ids[0], [(0, A)]),
        annotated(ids[1], [(1, B)]),
        classes=("car", "bus"),
        category_ids=ids,
    )
    rows = [row(ids[0], A, 0.5, ids[0]), row(ids[1], B, 0.4, ids[1])]
    assert quiet_score(capfd, dataset, rows, COCO, engine).metrics["AP"] == pytest.approx(1)


# --- nothing there ---------------------------------------------------------------------------


@both_engines
def test_no_detections(capfd: pytest.CaptureFixture[str], engine: Engine) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]), annotated(2), classes=("car", "bus"))
    result = quiet_score(capfd, dataset, [], COCO, engine)
    assert result.metrics["AP"] == result.metrics["AR@100"] == 0
    assert result.per_class["car"]["AP"] == 0
    assert math.isnan(result.per_class["bus"]["AP"])
    assert result.curves["all"]["mean"] == [0] * 101


@both_engines
@pytest.mark.parametrize("rows", [[], [row(1, A, 0.5)]])
def test_no_ground_truth(
    capfd: pytest.CaptureFixture[str], engine: Engine, rows: list[DetectionRow]
) -> None:
    result = quiet_score(capfd, dataset_of(annotated(1), annotated(2)), rows, COCO, engine)
    assert all(math.isnan(value) for value in result.metrics.values())
    assert all(math.isnan(value) for value in result.curves["all"]["0.50"])
    assert result.per_class["car"]["ground_truth"] == 0


@both_engines
def test_no_images(capfd: pytest.CaptureFixture[str], engine: Engine) -> None:
    assert math.isnan(quiet_score(capfd, dataset_of(), [], COCO, engine).metrics["AP"])


# --- requests that are wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_id": 99}, "image_id 99 is not an image of test split"),
        ({"category_id": 99}, "category_id 99 is not a class of test split"),
        ({"score": math.nan}, "score nan is not finite"),
    ],
)
def test_bad_rows(changes: dict[str, Any], words: str) -> None:
    dataset = dataset_of(annotated(1, [(0, A)]))
    bad = cast(DetectionRow, {**row(1, A, 0.5), **changes})
    with pytest.raises(DataError, match=f"row 2 of 3: .*{words}"):
        score(dataset, [row(1, A, 0.5), bad, row(1, A, 0.5)], COCO)


def test_ambiguous_class_names() -> None:
    for classes in (("car", "all"), ("car", "car")):
        with pytest.raises(DataError, match=f"class name '{classes[1]}' is taken"):
            score(dataset_of(annotated(1), classes=classes), [], COCO)


@pytest.mark.parametrize("limits", [(), (100, 10), (1, 1)])
def test_limits_must_rise(limits: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match="must rise"):
        score(dataset_of(annotated(1)), [], replace(COCO, max_dets=limits))


# --- the file --------------------------------------------------------------------------------


@both_engines
def test_file_scores_like_the_rows(tmp_path: Path, engine: Engine) -> None:
    dataset, rows = random_case(11)
    rows = [{**r, "score": r["score"] + i * 3e-10} for i, r in enumerate(rows)]
    path = tmp_path / "detections.json.gz"
    write_rows(path, rows)
    stored = read_rows(path)
    assert stored != rows
    assert_same(score(dataset, rows, COCO, engine), score(dataset, stored, COCO, engine))
    for a, b in zip(rows, stored, strict=True):
        assert (a["image_id"], a["category_id"]) == (b["image_id"], b["category_id"])
        assert b["bbox"] == pytest.approx(a["bbox"], abs=0.5e-3 + 1e-9)
        assert b["score"] == pytest.approx(a["score"], abs=0.5e-9 + 1e-12)
