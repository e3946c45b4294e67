from __future__ import annotations

import numpy as np

from sobench.metrics import matching
from sobench.metrics.matching import find_pairs, overlaps, shared_cells


def test_pairs_of_all_cells_are_those_of_each_cell() -> None:
    """More pairs than are worked on at once, cells without either kind, and equal boxes."""
    random = np.random.default_rng(0)
    cells = np.sort(random.integers(0, 40, 1500))
    truth_cells = random.integers(5, 45, 600)
    boxes, truth = (np.round(random.random((n, 4)) * 30, 2) for n in (1500, 600))
    boxes[:300] = truth[:300]
    crowd = random.random(600) < 0.1
    pairs = find_pairs(cells, boxes, truth_cells, truth, crowd)
    assert sum((b - a) * len(h) for a, b, h in shared_cells(cells, truth_cells)) > matching._BLOCK
    found = {}
    for first, last, here in shared_cells(cells, truth_cells):
        iou = overlaps(boxes[first:last], truth[here], crowd[here])
        for row, column in zip(*np.nonzero(iou >= 0.5), strict=True):
            found[first + row, here[column]] = iou[row, column]
    assert len(found) > 100
    columns = (pairs.detection, pairs.truth, pairs.iou)
    assert {(d, g): iou for d, g, iou in zip(*columns, strict=True)} == found
    # Of each detection the greatest overlap first, and of equal ones the last object.
    order = np.lexsort((-pairs.truth, -pairs.iou, pairs.detection))
    assert np.array_equal(order, np.arange(len(order)))


def test_no_pairs() -> None:
    none, cells = np.empty(0, np.int64), np.array([0, 1])
    boxes = np.array([[0.0, 0, 4, 4], [0, 0, 4, 4]])
    for detections, objects in ((none, none), (cells, none), (none, cells)):
        sizes = len(detections), len(objects)
        pairs = find_pairs(detections, boxes[: sizes[0]], objects, boxes[: sizes[1]], cells < 0)
        assert len(pairs.iou) == 0
