"""Literal table of the ways in which stored detections are scored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """How stored detections are scored.

    Attributes:
        title: one line for people.
        version: raised whenever a number could change.
        max_dets: AR is given at each; the last one is also the limit for AP. Per image and class.
        bins: name -> area range in square pixels of the original image, both ends inclusive.
        ignore_regions: what class-less ignore regions become: ``drop`` (detections on them count
            as false) or ``crowd`` (a crowd region of every class).
    """

    title: str
    version: int
    max_dets: tuple[int, ...]
    bins: dict[str, tuple[float, float]]
    ignore_regions: str = "drop"


INFINITE_AREA = 1e10
_COCO_BINS = {"S": (0.0, 32.0**2), "M": (32.0**2, 96.0**2), "L": (96.0**2, INFINITE_AREA)}

PROTOCOLS: dict[str, Protocol] = {
    "coco": Protocol("COCO AP and AR, 100 detections", 1, (1, 10, 100), _COCO_BINS),
    "visdrone-coco": Protocol(
        "VisDrone as papers use it: COCO metrics, 500 detections", 1, (1, 10, 100, 500), _COCO_BINS
    ),
    "visdrone-coco100": Protocol(
        "VisDrone with COCO metrics and 100 detections", 1, (1, 10, 100), _COCO_BINS
    ),
    "visdrone-crowd": Protocol(
        "VisDrone, COCO metrics, 500 detections, ignored regions as crowd",
        1,
        (1, 10, 100, 500),
        _COCO_BINS,
        "crowd",
    ),
    "aitod": Protocol(
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
    "tiny": Protocol(
        "COCO metrics with bins for objects of 6 to 24 px",
        1,
        (1, 10, 100),
        {
            "XS": (0.0, 10.0**2),
            "S": (10.0**2, 16.0**2),
            "M": (16.0**2, INFINITE_AREA),
        },
    ),
}
