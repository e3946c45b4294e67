"""Literal table of the protocols by which stored detections are scored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """How stored detections are scored.

    Attributes:
        name: as suites and records call it.
        title: one line for people.
        version: raised whenever a number could change.
        max_dets: limits of detections per image and class; AR is given at each, AP at the last.
        bins: name -> area range in square pixels of the original image, both ends inclusive.
        ignore_regions: how ignore regions without a class are treated: ``drop`` (detections on
            them count as false) or ``crowd`` (they are crowd regions of every class).
        bins_at_50: whether each bin is also scored at the IoU threshold .50 alone.
    """

    name: str
    title: str
    version: int
    max_dets: tuple[int, ...]
    bins: dict[str, tuple[float, float]]
    ignore_regions: str = "drop"
    bins_at_50: bool = False


INFINITE_AREA = 1e10
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
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _TABLE}
