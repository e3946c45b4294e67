"""Anchors of every method under one suite, and the objects that they meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sobench.data.load import load
from sobench.data.resize import box_wh, input_boxes
from sobench.models.build import build_without_storage
from sobench.models.coverage import best_iou, coverage
from sobench.models.parts.anchors import (
    DefaultBoxes,
    anchor_levels,
    fitted_anchors,
    pyramid_anchors,
    suite_anchors,
)
from sobench.models.parts.boxes import box_iou
from sobench.suite.network import Anchors
from sobench.suite.plan import plan
from sobench.suite.sections import Suite
from tests.models.parts.random_boxes import random_boxes
from tests.tiny_suite import tiny_suite

CPU = torch.device("cpu")


def sides(suite: Suite) -> list[list[float]]:
    """Of the anchors of each level of the suite's first row, in pixels."""
    (run, *_) = plan(suite)
    head = build_without_storage(run.suite, run.entry).head
    return [
        sorted({round((w * h) ** 0.5, 3) for w, h in level.shapes})
        for level in head.anchor_levels  # type: ignore[attr-defined]
    ]


ANCHORS = {"smallest": 12, "octaves": 2, "ratios": [0.5, 1, 2]}
DOUBLING = [[12.0 * 2**k, round(12 * 2 ** (k + 0.5), 3)] for k in range(7)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("fpn", DOUBLING[:5]),
        ("nas_fpn", DOUBLING[:5]),
        ("ssd", DOUBLING[:5]),  # until the map of 128 px is a single cell
        ("refinedet", DOUBLING[:4]),
        ("mrae", [[12.0, 24.0, 48.0, 96.0]]),
        ({"name": "fpn", "first_level": 2}, DOUBLING[:5]),
        ({"name": "zoominnet", "distill": False}, [[6.0, 8.485], *DOUBLING[:4]]),
        ("efpn", [[6.0, 8.485], *DOUBLING[:5]]),
        ({"name": "refinedet", "anchors": "paper"}, [[32.0], [64.0], [128.0], [256.0]]),
    ],
    ids=str,
)
def test_sizes_are_the_suites_whatever_the_strides(
    row: str | dict[str, Any], expected: list[list[float]]
) -> None:
    suite = tiny_suite(input={"size": [128, 128]}, anchors=ANCHORS, methods=[row])
    assert sides(suite) == expected


def test_fitted_anchors_are_not_halved_on_finer_levels() -> None:
    (run, *_) = plan(tiny_suite(anchors="fit", methods=[{"name": "zoominnet", "distill": False}]))
    wh = np.full((20, 2), 20.0)
    levels = build_without_storage(run.suite, run.entry, wh).head.anchor_levels  # type: ignore[attr-defined]
    least = [min(round((w * h) ** 0.5, 3) for w, h in level.shapes) for level in levels]
    smallest = round(fitted_anchors(run.suite.anchors, wh, 8).smallest, 3)
    assert least[:2] == [smallest, 2 * smallest]
    assert "anchors half as far apart" in run.deviations


def test_under_faster_rcnn_they_begin_on_the_finest_level_of_each_method() -> None:
    for row, levels in (("fpn", 5), ("ssd", 5), ("refinedet", 4)):
        suite = tiny_suite(
            input={"size": [128, 128]},
            head="faster_rcnn",
            regions={},
            anchors={"smallest": 32, "octaves": 1},
            methods=[row],
        )
        assert sides(suite) == [[32.0 * 2**k] for k in range(levels)]


def test_fpn_on_finer_levels_has_finer_strides() -> None:
    for first, stride in ((3, 8), (2, 4)):
        (run,) = plan(tiny_suite(methods=[{"name": "fpn", "first_level": first}]))
        head = build_without_storage(run.suite, run.entry).head
        assert [level.stride for level in head.anchor_levels] == [  # type: ignore[attr-defined]
            stride * 2**k for k in range(5)
        ]


def test_fitted_anchors_begin_with_the_smallest_cluster() -> None:
    boxes = np.array([[6.0, 6], [6, 6], [20, 5], [5, 20], [40, 40], [80, 80]])
    fitted = fitted_anchors(Anchors(fit=True, octaves=1), boxes, 4)
    assert fitted.smallest == pytest.approx(6)
    assert fitted.octaves == 1
    assert fitted.ratios == pytest.approx((0.25, 1, 4))
    assert fitted_anchors(Anchors(fit=True), boxes, 8).smallest == 12  # 1.5 strides
    assert fitted_anchors(Anchors(smallest=7), boxes, 4) == Anchors(smallest=7)
    assert fitted_anchors(Anchors(fit=True), None, 4).smallest == Anchors().smallest


@pytest.mark.parametrize("row", ["fpn", "ssd", "refinedet", "efpn", "mrae"])
def test_every_method_has_the_fitted_ones(row: str) -> None:
    (run, *_) = plan(tiny_suite(anchors="fit", methods=[row]))
    wh = np.array([[5.0, 5], [9, 9], [17, 17], [33, 33], [10, 40], [40, 10]])
    head = build_without_storage(run.suite, run.entry, wh).head
    smallest = fitted_anchors(run.suite.anchors, wh, 8).smallest
    found = {round((w * h) ** 0.5, 6) for level in head.anchor_levels for w, h in level.shapes}  # type: ignore[attr-defined]
    assert round(smallest, 6) in found


# ------------------------------------------------------------------------------------ coverage


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_the_best_anchor_is_found_without_looking_at_all(offset: float) -> None:
    spec = DefaultBoxes((((10.0, 10), (20, 8)), ((40.0, 30),)), offset)
    size, strides, maps = (90, 130), (8, 16), ((12, 17), (6, 9))
    boxes = random_boxes(1, 200, seed=3, extent=130.0)
    anchors = pyramid_anchors(maps, strides, spec, CPU)
    expected = box_iou(boxes, anchors)[0].amax(dim=1)
    found = best_iou(anchor_levels(strides, spec), boxes[0].double().numpy(), size)
    assert found == pytest.approx(expected.numpy(), abs=1e-5)


def test_what_finer_strides_give_is_told_from_what_sizes_give() -> None:
    suite = tiny_suite(
        anchors={"smallest": 16},
        methods=["fpn", {"name": "fpn", "label": "fine", "first_level": 2},
                 {"name": "zoominnet", "distill": False}],
    )  # fmt: skip
    boxes = np.array([[3.0, 3, 11, 11], [20, 20, 28, 28], [10, 10, 26, 26]])
    plain, fine, zoom = (
        coverage(build_without_storage(run.suite, run.entry), boxes, 16) for run in plan(suite)
    )
    assert plain is not None
    assert fine is not None
    assert zoom is not None
    assert (plain.smallest, fine.smallest, zoom.smallest) == pytest.approx((16, 16, 8))
    assert np.array_equal(zoom.resized, fine.own)
    assert np.array_equal(plain.own, plain.resized)
    assert (zoom.own[:2] > 0.5).all()
    assert (fine.own[:2] < 0.5).all()


def test_a_head_that_does_not_name_its_anchors_has_no_coverage() -> None:
    (run,) = plan(tiny_suite())
    detector = build_without_storage(run.suite, run.entry)
    detector.head = torch.nn.Identity()  # type: ignore[assignment]
    assert coverage(detector, np.zeros((1, 4)), 16) is None


def test_boxes_of_the_input() -> None:
    suite = tiny_suite(input={"size": [128, 96]})
    training = load(suite.dataset, "train")
    boxes = input_boxes(training, suite.input)
    wh = box_wh(training, suite.input)
    assert wh is not None
    assert boxes[:, 2:] - boxes[:, :2] == pytest.approx(wh)
    assert suite_anchors(suite.anchors, 2).num_anchors == 9
