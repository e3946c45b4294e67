"""The protocols of COCO's family that look at a part of the objects, and all of them together."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from sobench.metrics.matches_file import read_matches, write_matches
from sobench.metrics.table import class_metrics, score_metrics
from sobench.suite.protocols import PROTOCOLS, Protocol
from tests.metrics.family_cases import drone_case, scored
from tests.metrics.scoring_cases import (
    ENGINES,
    A,
    B,
    Box,
    annotated,
    assert_same,
    dataset_of,
    match,
    random_case,
    row,
    score,
)

SODA, SMALL = PROTOCOLS["soda-d"], PROTOCOLS["coco-small"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_scores_matches_and_keeps(name: str, tmp_path: Path) -> None:
    """Scores, resamples of weight one and the file of matches agree, whatever the family."""
    protocol = PROTOCOLS[name]
    for dataset, rows in (random_case(3), drone_case(5)):
        scores = score(dataset, rows, protocol)
        assert list(scores.metrics) == [metric.name for metric in score_metrics(protocol)]
        for values in scores.per_class.values():
            assert list(values) == [*class_metrics(protocol), "ground_truth"]
        if protocol.family != "coco":
            scored(dataset, rows, name)
        assert scores.name == f"{name} v1 {'hotcoco' if protocol.family == 'coco' else 'sobench'}"
        path = tmp_path / "matches.npz"
        matches = match(dataset, rows, protocol)
        write_matches(path, matches)
        again = read_matches(path)
        for key in ("outcome", "num_objects", "found", "score", "rank", "object_area"):
            np.testing.assert_array_equal(getattr(again, key), getattr(matches, key), err_msg=key)


@pytest.mark.parametrize("protocol", [SODA, SMALL, PROTOCOLS["aitod"]], ids=lambda p: p.name)
def test_the_engines_agree(protocol: Protocol) -> None:
    for seed in range(3):
        dataset, rows = random_case(seed)
        results = [score(dataset, rows, protocol, engine) for engine in ENGINES]
        assert_same(results[0], results[1], 1e-9)


def test_soda_d_ranks_by_objects_up_to_32_px() -> None:
    """Objects of 10, 16, 30, 40 and 60 px; the last is beyond all bins."""
    sides = (10, 16, 30, 40, 60)
    boxes: list[Box] = [(100.0 * n, 0, side, side) for n, side in enumerate(sides)]
    dataset = dataset_of(annotated(1, [(0, box) for box in boxes]))
    found = [row(1, box, 0.9) for box in (boxes[0], boxes[3], boxes[4])]
    scores = score(dataset, found, SODA)
    assert scores.metrics["AR@1000"] == pytest.approx(1 / 3)
    assert [scores.metrics[f"AR_{name}"] for name in SODA.bins] == [1, 0, 0, 1]
    # Larger objects are neither right nor wrong, and neither are detections of them.
    assert scores.metrics["AP"] == pytest.approx(34 / 101)
    assert scores.per_class["car"]["ground_truth"] == 3
    assert len(match(dataset, found, SODA).object_image) == 3


def test_soda_d_takes_ap_of_100_detections_and_recall_of_1000() -> None:
    dataset = dataset_of(annotated(1, [(0, A)]))
    rows = [row(1, B, 0.9)] * 100 + [row(1, A, 0.5)]
    metrics = score(dataset, rows, SODA).metrics
    assert (metrics["AP"], metrics["AR@100"], metrics["AR@300"]) == (0, 0, 1)


def test_coco_small_leaves_out_larger_objects_and_images_without_small_ones() -> None:
    """A box of 32 x 32 px is not below 32 squared; of 31.9 x 32 it is."""
    dataset = dataset_of(
        annotated(7, [(0, (0, 0, 31.9, 32)), (0, (100, 0, 32, 32))]),
        annotated(8, [(0, (0, 0, 32, 32))]),
        annotated(9),
    )
    rows = [row(7, (100, 0, 32, 32), 0.9), row(7, (0, 0, 31.9, 32), 0.8), row(8, A, 0.95)]
    for engine in ENGINES:
        scores = score(dataset, rows, SMALL, engine)
        # The large one is background, so that it is a wrong detection before a right one.
        assert scores.metrics["AP"] == pytest.approx(0.5)
        assert scores.per_class["car"]["ground_truth"] == 1
        digest = hashlib.sha256(b"7").hexdigest()[:16]
        assert scores.images == f"1 of 3 images, sha256 of their ids {digest}"
    assert match(dataset, rows, SMALL).image_ids.tolist() == [7]
    empty = score(dataset_of(annotated(1, [(0, (0, 0, 99, 99))])), [], SMALL)
    assert set(empty.metrics.values()) == {None}
