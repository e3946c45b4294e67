"""Literal tables of what exists: methods, heads, dataset formats, protocols. Imports nothing heavy.

A new method is one file in ``models/methods/`` and one row in ``METHODS``; the row's key is the
file name, the name in a suite and the name on the leaderboard.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Switch:
    """One option of a method: its default, the values it may take, and what it does."""

    default: str | int | float | bool
    values: tuple[str | int | float | bool, ...]
    meaning: str


@dataclass(frozen=True)
class Method:
    """A row of the methods table.

    ``heads`` names the suite's heads that the method works under; it is empty for a single-shot
    detector, which brings its own. ``deviations`` is what the method must do differently from the
    suite, printed with its row.
    """

    title: str
    paper: str
    heads: tuple[str, ...] = ()
    switches: dict[str, Switch] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()


METHODS: dict[str, Method] = {
    "ssd": Method(
        title="Single Shot MultiBox Detector",
        paper="Liu et al., ECCV 2016, arXiv:1512.02325",
        switches={
            "boxes": Switch(
                "coco", ("coco", "voc"), "default-box sizes of the paper's COCO or VOC models"
            ),
        },
        deviations=(
            "own head: one 3x3 convolution per level for classes and one for boxes",
            "own default boxes instead of the suite's anchors",
            "own loss: softmax cross-entropy with 3:1 hard negatives, smooth L1",
        ),
    ),
    "fpn": Method(
        title="Feature Pyramid Network",
        paper="Lin et al., CVPR 2017, arXiv:1612.03144",
        heads=("retinanet",),
        switches={
            "fuse": Switch(
                True, (True, False), "false leaves out the top-down sum: laterals and 3x3 only"
            ),
        },
    ),
}


@dataclass(frozen=True)
class Head:
    """A row of the heads table."""

    title: str
    paper: str


HEADS: dict[str, Head] = {
    "retinanet": Head(
        title="RetinaNet: two shared towers, focal loss",
        paper="Lin et al., ICCV 2017, arXiv:1708.02002",
    ),
}


@dataclass(frozen=True)
class DatasetFormat:
    """A row of the dataset formats table."""

    title: str
    layout: str


DATASETS: dict[str, DatasetFormat] = {
    "coco": DatasetFormat("COCO JSON", "an annotation file and an image folder for each split"),
    "visdrone": DatasetFormat(
        "VisDrone-DET", "SPLIT/images/*.jpg and SPLIT/annotations/*.txt with 8 columns"
    ),
    "voc": DatasetFormat("PASCAL VOC", "Annotations/*.xml, ImageSets/Main/SPLIT.txt, JPEGImages/"),
    "yolo": DatasetFormat("YOLO txt", "data.yaml, images/ and labels/ with one txt per image"),
    "synthetic": DatasetFormat("drawn scenes of tiny objects", "none: drawn from a seed"),
}


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

ENGINES = ("hotcoco", "pycocotools")
