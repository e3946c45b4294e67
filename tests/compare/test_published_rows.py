"""Which row of a suite stands beside a published one."""

from __future__ import annotations

from typing import Any

import pytest

from sobench.compare.published_rows import Here
from sobench.suite.sections import Suite
from tests.compare.published_papers import FPN, VISDRONE, beside, suite_on
from tests.tiny_suite import tiny_suite

ROWS = [
    "fpn",
    {"name": "fpn", "label": "unfused", "fuse": False},
    {"name": "fpn", "label": "longer", "deviations": {"schedule.epochs": 9, "reason": "a test"}},
    {"name": "fpn", "label": "larger", "deviations": {"input.size": [96, 96], "reason": "a test"}},
    {"name": "fpn", "label": "two-stage", "deviations": {"head": "faster_rcnn", "reason": "x"}},
]


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (FPN, "fpn"),
        ({"methods": ({"name": "fpn"},)}, "fpn"),
        ({"methods": ({"name": "fpn", "switches": {"fuse": False}},)}, "unfused"),
        (FPN | {"settings": {"input.size": [96, 96]}}, "larger"),
        (FPN | {"settings": {"input.size": [80, 80]}}, None),
        (FPN | {"settings": {"schedule.epochs": 9}}, "longer"),
        (FPN | {"settings": {"schedule.epochs": "90k steps"}}, "fpn"),
        (FPN | {"settings": {"head": "faster_rcnn"}}, "two-stage"),
        (FPN | {"settings": {"head": "Cascade R-CNN"}}, None),
        (FPN | {"values": "20.0 ResNet-50 6"}, None),
        (FPN | {"settings": {"backbone.name": "not stated"}}, None),
        ({"methods": ({"name": "pafpn"},)}, None),
        ({"methods": ({"name": "pafpn"}, {"name": "fpn"})}, "fpn"),
        ({}, None),
    ],
)
def test_the_row_of_the_suite_that_is_the_same_method(
    row: dict[str, Any], label: str | None
) -> None:
    content = tiny_suite(methods=ROWS).model_dump(mode="json") | {"dataset": VISDRONE}
    published = beside(Suite.model_validate(content), row)
    assert published.here == (None, Here(label) if label else None)


def test_a_row_that_deviates_to_another_network_stands_beside_none() -> None:
    content = tiny_suite(methods=ROWS[3:4]).model_dump(mode="json") | {"dataset": VISDRONE}
    assert beside(Suite.model_validate(content), FPN).here == (None, None)


def test_a_further_test_must_be_asked_for() -> None:
    row = {"methods": ({"name": "fpn", "test": "32x32"},)}
    suite = suite_on(VISDRONE)
    assert beside(suite, row).here == (None, None)
    tested = suite.model_copy(update={"eval_sizes": ((32, 32),)})
    assert beside(tested, row).here == (None, Here("fpn", "32x32"))
