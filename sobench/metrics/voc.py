"""AP at IoU .50 as the devkit of PASCAL VOC computes it (VOCevaldet.m and VOCap.m).

The devkit counts pixels inclusively: a box from ``xmin`` to ``xmax`` is ``xmax - xmin + 1`` wide.
Readers turn such corners into continuous ones, ``xmin - 1`` to ``xmax``, of the same width, and
detections are continuous; so overlaps without the 1 are the devkit's, to the last digit.
"""

from __future__ import annotations

import numpy as np

from sobench.data.dataset import Dataset, FloatArray, IntArray
from sobench.metrics.detections import DetectionTable
from sobench.metrics.ground_truth import ground_truth
from sobench.metrics.matches import (
    Cells,
    Matches,
    as_matches,
    count_objects,
    in_cells,
)
from sobench.metrics.matching import FALSE, IGNORED, IOU_THRESHOLDS, TRUE, overlaps, shared_cells
from sobench.metrics.weighted import Asked, Weighted, class_values, mean_over_classes
from sobench.suite.protocols import Protocol

_AP: Asked = ("AP", 0, 0)
_AR: Asked = ("AR", 0, 0)


def match(dataset: Dataset, table: DetectionTable, protocol: Protocol, digest: str) -> Matches:
    """Match each detection with the object of its class that it overlaps most, taken or not.

    The first one of an object is right and all later ones are wrong. Regions of one class, such as
    difficult objects, are candidates too: who overlaps one most is neither right nor wrong. Regions
    of all classes do not exist for the devkit.
    """
    cells = in_cells(dataset, table, ground_truth(dataset, protocol), None)
    best = _most_overlapped(cells)
    difficult = cells.truth.crowd == 1
    outcome = np.full(len(best), FALSE, np.int8)
    hits = np.flatnonzero(best >= 0)
    outcome[hits] = IGNORED * difficult[best[hits]]
    # Within a cell detections are sorted by falling score.
    real = hits[~difficult[best[hits]]]
    _, first = np.unique(best[real], return_index=True)
    outcome[real[first]] = TRUE
    counts = ~difficult
    return as_matches(
        dataset, protocol, digest, cells, outcome[None, None], best, counts,
        count_objects(counts[:, None], cells),
    )  # fmt: skip


def _most_overlapped(cells: Cells) -> IntArray:
    """The annotation with the greatest overlap of each detection ``[D]``, -1 for less than .50.

    Of equal overlaps the first one is taken, objects before difficult ones.
    """
    best = np.full(len(cells.row), -1)
    for first, last, here in shared_cells(cells.of_detections, cells.of_truth):
        no_crowd = np.zeros(len(here), np.bool_)  # also difficult objects are overlapped by IoU
        iou = overlaps(cells.boxes[first:last], cells.truth.boxes[here], no_crowd)
        which = iou.argmax(axis=1)
        enough = iou.max(axis=1) >= IOU_THRESHOLDS[0]
        best[first:last] = np.where(enough, here[which], -1)
    return best


def weigh(matches: Matches, weights: FloatArray, protocol: Protocol) -> Weighted:
    """AP50, over 11 recalls or all, and the recall of all detections."""
    values = class_values(matches, weights, (_AP, _AR), protocol.points)
    of_classes = {"AP50": values[_AP][:, 0], "AR50": values[_AR][:, 0]}  # [K, B] each
    holds = matches.num_objects[0] > 0
    return Weighted(
        metrics={name: mean_over_classes(of_class) for name, of_class in of_classes.items()},
        per_class={name: of_class.T for name, of_class in of_classes.items()},
        holding=dict.fromkeys(of_classes, int(holds.any(axis=1).sum())),
        class_holding=holds.sum(axis=0),
        images=len(matches.image_ids),
    )
