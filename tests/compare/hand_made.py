"""Matches written by hand: four objects on two images, and detections that meet them or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import write_matches
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from tests.records import record_of, scored

AREAS = (100, 1024, 2000, 10000)
"""Of the objects in square pixels; the first two are cars, the others buses."""

_LABELS, _IMAGES = (0, 0, 1, 1), (0, 1, 0, 1)


def hand_made(detections: Sequence[tuple[float, int | None]], protocol: str = "coco") -> Matches:
    """Matches under a protocol; all IoU thresholds are alike, and so are all areas.

    Args:
        detections: score, and the object that is met, or ``None`` for a false positive of a car on
            the first image.
    """
    met = [-1 if index is None else index for _, index in detections]
    labels = [0 if index < 0 else _LABELS[index] for index in met]
    order = sorted(range(len(met)), key=lambda i: (labels[i], -detections[i][0]))
    bins = PROTOCOLS[protocol].bins
    counts = np.zeros((1 + len(bins), 2, 2), np.int32)
    for image, label, area in zip(_IMAGES, _LABELS, AREAS, strict=True):
        counts[0, image, label] += 1
        for number, (low, high) in enumerate(bins.values(), 1):
            counts[number, image, label] += low <= area <= high
    found = np.array([met[i] for i in order], np.int32)
    return Matches(
        protocol=protocol,
        protocol_version=PROTOCOLS[protocol].version,
        detections="0" * 64,
        image_ids=np.array([1, 2]),
        classes=("car", "bus"),
        image=np.array([0 if met[i] < 0 else _IMAGES[met[i]] for i in order], np.int32),
        label=np.array([labels[i] for i in order], np.int32),
        score=np.array([detections[i][0] for i in order], np.float64),
        rank=np.arange(len(order), dtype=np.int32),
        outcome=np.tile((found >= 0).astype(np.int8), (1 + len(bins), 10, 1)),
        num_objects=counts,
        found=found,
        object_image=np.array(_IMAGES, np.int32),
        object_label=np.array(_LABELS, np.int32),
        object_area=np.array(AREAS, np.float64),
    )


def keep_matched(
    run: Run, ap: float, matches: Matches, results: Path = Path("results"), **changes: Any
) -> None:
    """The record of a run whose detections met the objects so, with the matches beside it."""
    folder = RunFolder(run.folder(results))
    digest = sha256(f"{run.id} {ap}".encode()).hexdigest()
    digests = {folder.detections().name: digest}
    of_classes = {name: {"AP": ap} for name in matches.classes}
    changes = {"scored": scored(ap, run.suite.protocol, per_class=of_classes)} | changes
    record.write(record_of(run, ap, digests=digests, **changes), folder.path)
    write_matches(
        folder.matches(PROTOCOLS[run.suite.protocol]), replace(matches, detections=digest)
    )
