"""The numbers of the protocols, as papers have them: a change of one needs a new version."""

from __future__ import annotations

from math import inf, sqrt

import pytest

from sobench.suite.protocols import INFINITE_AREA, PROTOCOLS

COCO = {"S": (0, 32), "M": (32, 96), "L": (96, inf)}
EXPECTED = {
    "coco": (1, (1, 10, 100), COCO, "drop"),
    "coco-bins50": (1, (1, 10, 100), COCO, "drop"),
    "visdrone-coco": (1, (1, 10, 100, 500), COCO, "drop"),
    "visdrone-coco100": (1, (1, 10, 100), COCO, "drop"),
    "visdrone-crowd": (1, (1, 10, 100, 500), COCO, "crowd"),
    "aitod": (
        1, (1, 100, 1500), {"VT": (0, 8), "T": (8, 16), "S": (16, 32), "M": (32, inf)}, "drop",
    ),
    "tiny": (1, (1, 10, 100), {"XS": (0, 10), "S": (10, 16), "M": (16, inf)}, "drop"),
}  # fmt: skip
"""Version, limits, sides of square objects in px, treatment of ignore regions."""


@pytest.mark.parametrize("name", PROTOCOLS)
def test_numbers(name: str) -> None:
    protocol = PROTOCOLS[name]
    sides = {
        area: tuple(inf if end == INFINITE_AREA else sqrt(end) for end in ends)
        for area, ends in protocol.bins.items()
    }
    seen = protocol.version, protocol.max_dets, sides, protocol.ignore_regions
    assert (protocol.name, seen) == (name, EXPECTED[name])
