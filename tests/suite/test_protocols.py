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
    "coco-small": (1, (1, 10, 100), {}, "drop"),
    "visdrone-official": (1, (1, 10, 100, 500), {}, "drop"),
    "voc07": (1, (), {}, "drop"),
    "voc12": (1, (), {}, "drop"),
    "tt100k": (1, (1, 10, 100), COCO, "drop"),
    "soda-d": (
        1, (100, 300, 1000),
        {"eS": (0, 12), "rS": (12, 20), "gS": (20, 32), "N": (32, sqrt(2000))}, "drop",
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


def test_numbers_of_one_family_alone() -> None:
    tt100k, soda, small = (PROTOCOLS[name] for name in ("tt100k", "soda-d", "coco-small"))
    assert tt100k.sides == {"S": (0, 32), "M": (32, 96), "L": (96, 400)}
    assert (tt100k.cutoff, tt100k.bins_at_50) == (0.5, True)
    assert (soda.headline, soda.ap_limit) == ((0, 1024), 100)
    assert small.objects_below == 1024
    assert [PROTOCOLS[name].points for name in ("voc07", "voc12")] == [11, 0]
    families = {entry.family for entry in PROTOCOLS.values()}
    assert families == {"coco", "voc", "visdrone", "tt100k"}
