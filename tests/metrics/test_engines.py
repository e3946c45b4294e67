"""The engines against each other, the published reference and the stored file."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sobench.data.dataset import Dataset
from sobench.data.formats import coco
from sobench.metrics.detections import DetectionRow
from sobench.suite.protocols import PROTOCOLS, Protocol
from tests.metrics.scoring_cases import (
    COCO,
    CUSTOM,
    ENGINES,
    Engine,
    assert_same,
    both_engines,
    defined,
    quiet_score,
    random_case,
    score,
)
from tests.real_data import COCO_100, COCO_100_DETECTIONS, COCO_100_PUBLISHED, COCO_100_SPEC
from tests.stored_rows import read_rows, write_rows

# --- the published reference -----------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> tuple[Dataset, list[DetectionRow]]:
    rows = json.loads(COCO_100_DETECTIONS.read_text())
    return coco.read(COCO_100, COCO_100_SPEC, "val"), rows


@both_engines
def test_published_numbers(reference: tuple[Dataset, list[DetectionRow]], engine: Engine) -> None:
    metrics = score(*reference, COCO, engine).metrics
    rounded = [round(value, 3) for value in defined(metrics.values())]
    assert dict(zip(metrics, rounded, strict=True)) == COCO_100_PUBLISHED
    assert list(metrics) == list(COCO_100_PUBLISHED)


@both_engines
def test_equal_to_cocoeval_on_the_files(
    reference: tuple[Dataset, list[DetectionRow]], engine: Engine
) -> None:
    from pycocotools import coco as files
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = files.COCO(str(COCO_100 / COCO_100_SPEC.val))
        detections = truth.loadRes(str(COCO_100_DETECTIONS))
        official = COCOeval(truth, detections, "bbox")
        official.evaluate()
        official.accumulate()
        official.summarize()
    metrics = score(*reference, COCO, engine).metrics
    assert list(metrics.values()) == pytest.approx(official.stats.tolist(), abs=1e-12)


@both_engines
def test_bins_at_50_are_those_of_cocoeval(
    reference: tuple[Dataset, list[DetectionRow]], engine: Engine
) -> None:
    from pycocotools import coco as files
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = files.COCO(str(COCO_100 / COCO_100_SPEC.val))
        official = COCOeval(truth, truth.loadRes(str(COCO_100_DETECTIONS)), "bbox")
        official.params.iouThrs = np.array([0.5])
        official.evaluate()
        official.accumulate()
    metrics = score(*reference, PROTOCOLS["coco-bins50"], engine).metrics
    for number, area in enumerate("SML", 1):  # after that of all areas
        for quantity, array in (("AP", "precision"), ("AR", "recall")):
            values = official.eval[array][..., number, -1]
            expected = float(values[values > -1].mean())
            assert metrics[f"{quantity}50_{area}"] == pytest.approx(expected, abs=1e-12)
    plain = score(*reference, COCO, engine).metrics
    assert {name: metrics[name] for name in plain} == plain


# --- the engines agree -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("protocol", [COCO, CUSTOM, replace(CUSTOM, ignore_regions="crowd")])
def test_engines_agree(capfd: pytest.CaptureFixture[str], seed: int, protocol: Protocol) -> None:
    dataset, rows = random_case(seed)
    results = [quiet_score(capfd, dataset, rows, protocol, engine) for engine in ENGINES]
    assert_same(results[0], results[1], 1e-9)
    (ap,) = defined([results[0].metrics["AP"]])
    assert 0 < ap < 1
    assert results[0].per_class["tram"]["AP"] is None
    assert all(p is None for p in results[0].curves["tram"]["mean"])
    if protocol is not COCO:
        assert results[0].metrics["AP_none"] is None
        assert results[0].metrics["AR_none"] is None


@both_engines
def test_summary_agrees_with_its_parts(engine: Engine) -> None:
    dataset, rows = random_case(0)
    result = score(dataset, rows, CUSTOM, engine)
    classes = [values for values in result.per_class.values() if values["ground_truth"]]
    assert len(classes) == 3

    def mean(values: Iterable[float | None]) -> Any:
        return pytest.approx(np.mean(defined(values)))

    for key, curve in (("AP", "mean"), ("AP50", "0.50"), ("AP75", "0.75")):
        assert result.metrics[key] == mean(values[key] for values in classes)
        assert result.metrics[key] == mean(result.curves["all"][curve])
        for name in ("car", "van", "bus"):
            assert len(result.curves[name][curve]) == 101
            assert result.per_class[name][key] == mean(result.curves[name][curve])
    assert result.metrics["AR@7"] == mean(values["AR"] for values in classes)
    counts = defined(values["ground_truth"] for values in classes)
    assert sum(counts) == sum(len(image.labels) for image in dataset.images)
    assert result.engine.startswith(f"{engine} ")
    assert result.engine[-1].isdigit()
    assert (result.protocol, result.protocol_version) == ("test-bins", 1)


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
