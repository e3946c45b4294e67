"""Literal table of the protocols by which stored detections are scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Family = Literal["coco", "voc", "visdrone", "tt100k"]
"""How detections are matched with objects, and metrics made from the matches."""

Bins = dict[str, tuple[float, float]]
"""Name -> lowest and highest of a range of sizes."""

INFINITE_AREA = 1e10
ANY_AREA = (0.0, INFINITE_AREA)


@dataclass(frozen=True)
class Protocol:
    """How stored detections are scored.

    Attributes:
        name: as suites and records call it.
        title: one line for people.
        version: raised whenever a number could change.
        max_dets: limits of detections; AR is given at each. In the family ``coco`` they are per
            image and class, in ``visdrone`` per image. Empty if there is no limit.
        bins: name -> area range in square pixels of the original image, both ends inclusive.
        ignore_regions: how ignore regions without a class are treated: ``drop`` (detections on
            them count as false) or ``crowd`` (they are crowd regions of every class).
        bins_at_50: whether each bin is also scored at the IoU threshold .50 alone.
        family: how matches and metrics are made; the engine of a suite computes ``coco`` alone.
        headline: the area range of the metrics that are not of one bin.
        ap_limit: the limit of detections for AP; 0 for the last one.
        objects_below: box area in square pixels; objects of that area or more are background, and
            images without a smaller one are left out. 0 keeps everything.
        points: ``voc``: the number of recalls that precision is averaged over; 0 for all, as in
            ``visdrone``.
        sides: ``tt100k``: name -> range of the longest side in pixels, the upper end exclusive.
        cutoff: ``tt100k``: the score from which on detections count in accuracy, recall and F1.
        data: the format of the data that it is made for; empty for any.
    """

    name: str
    title: str
    version: int
    max_dets: tuple[int, ...]
    bins: Bins
    ignore_regions: str = "drop"
    bins_at_50: bool = False
    family: Family = "coco"
    headline: tuple[float, float] = ANY_AREA
    ap_limit: int = 0
    objects_below: float = 0
    points: int = 0
    sides: Bins = field(default_factory=dict)
    cutoff: float = 0
    data: str = ""


def engine_name(protocol: Protocol, engine: str) -> str:
    """What computes a protocol's metrics: the engine of the suite, or sobench itself."""
    return engine if protocol.family == "coco" else "sobench"


_COCO_BINS = {"S": (0.0, 32.0**2), "M": (32.0**2, 96.0**2), "L": (96.0**2, INFINITE_AREA)}

_TABLE = (
    Protocol("coco", "COCO AP and AR, 100 detections", 1, (1, 10, 100), _COCO_BINS),
    Protocol(
        "coco-bins50",
        "COCO AP and AR, 100 detections, sizes at IoU .50 too",
        1,
        (1, 10, 100),
        _COCO_BINS,
        bins_at_50=True,
    ),
    Protocol(
        "coco-small",
        "COCO AP and AR of objects below 32 px and the images that hold one",
        1,
        (1, 10, 100),
        {},
        objects_below=32.0**2,
    ),
    Protocol(
        "visdrone-coco",
        "VisDrone as papers use it: COCO metrics, 500 detections",
        1,
        (1, 10, 100, 500),
        _COCO_BINS,
    ),
    Protocol(
        "visdrone-coco100",
        "VisDrone with COCO metrics and 100 detections",
        1,
        (1, 10, 100),
        _COCO_BINS,
    ),
    Protocol(
        "visdrone-crowd",
        "VisDrone, COCO metrics, 500 detections, ignored regions as crowd",
        1,
        (1, 10, 100, 500),
        _COCO_BINS,
        "crowd",
    ),
    Protocol(
        "aitod",
        "AI-TOD size bins, 1500 detections",
        1,
        (1, 100, 1500),
        {
            "VT": (0.0, 8.0**2),
            "T": (8.0**2, 16.0**2),
            "S": (16.0**2, 32.0**2),
            "M": (32.0**2, INFINITE_AREA),
        },
    ),
    Protocol(
        "soda-d",
        "SODA-D: AP of objects up to 32 px, 100 detections, AR up to 1000",
        1,
        (100, 300, 1000),
        {
            "eS": (0.0, 12.0**2),
            "rS": (12.0**2, 20.0**2),
            "gS": (20.0**2, 32.0**2),
            "N": (32.0**2, 40.0 * 50.0),
        },
        headline=(0.0, 32.0**2),
        ap_limit=100,
    ),
    Protocol(
        "tiny",
        "COCO metrics with bins for objects of 6 to 24 px",
        1,
        (1, 10, 100),
        {
            "XS": (0.0, 10.0**2),
            "S": (10.0**2, 16.0**2),
            "M": (16.0**2, INFINITE_AREA),
        },
    ),
    Protocol(
        "visdrone-official",
        "VisDrone-DET as the official toolkit scores it",
        1,
        (1, 10, 100, 500),
        {},
        family="visdrone",
        data="visdrone",
    ),
    Protocol(
        "voc07", "PASCAL VOC 2007: AP50 over 11 recalls", 1, (), {},
        family="voc", points=11, data="voc",
    ),
    Protocol(
        "voc12", "PASCAL VOC 2010 to 2012: AP50 over all recalls", 1, (), {},
        family="voc", data="voc",
    ),
    Protocol(
        "tt100k",
        "TT100K: accuracy, recall and F1 by size at score .50, AP and AR besides",
        1,
        (1, 10, 100),
        _COCO_BINS,
        bins_at_50=True,
        family="tt100k",
        sides={"S": (0, 32), "M": (32, 96), "L": (96, 400)},
        cutoff=0.5,
        data="tt100k",
    ),
)  # fmt: skip
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _TABLE}
