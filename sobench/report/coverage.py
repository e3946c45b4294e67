"""The objects that each row's anchors can meet, on a terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from sobench.data.dataset import Dataset, FloatArray
from sobench.data.resize import box_wh, input_boxes
from sobench.data.statistics import SIZE_BINS
from sobench.errors import reason_of
from sobench.report.terminal import print_lines, print_table
from sobench.suite.foreign import foreign_code
from sobench.suite.input import Input
from sobench.suite.reader import with_deviations
from sobench.suite.sections import MethodEntry, Suite

Boxes = tuple[FloatArray, FloatArray | None]
"""The objects in pixels of an input, and their widths and heights."""

_NOTE = (
    "Share of the training objects with an anchor of IoU .5 or more; sides in pixels of the input. "
    "`smallest` is the side of a row's smallest anchor. Where that is not the suite's, `rescaled` "
    "has all anchors of the row scaled so that it is: what is then left beyond fpn comes from "
    "finer strides, the rest from sizes."
)


def print_coverage(suite: Suite, training: Dataset, console: Console) -> None:
    """Print, for every row of the suite, the share of training objects that its anchors meet.

    Args:
        training: the training split.
    """
    table_rows = []
    boxes: dict[Input, Boxes] = {}  # most rows have the suite's input
    for entry in suite.methods:
        row_suite = with_deviations(suite, entry, Path(suite.name))
        if row_suite.input not in boxes:
            scaled = input_boxes(training, row_suite.input), box_wh(training, row_suite.input)
            boxes[row_suite.input] = scaled
        table_rows.append([entry.label, *_shares(row_suite, entry, *boxes[row_suite.input])])
    headings = ["method", "smallest", "all", *SIZE_BINS, "rescaled"]
    print_table(console, headings, table_rows, title="objects that anchors meet")
    print_lines(console, [_NOTE], style="")
    console.print()


def _shares(
    row_suite: Suite, entry: MethodEntry, boxes: FloatArray, wh: FloatArray | None
) -> list[str]:
    # torch takes seconds to import
    from sobench.models.build import build_without_storage, detector_config
    from sobench.models.coverage import IOU, coverage

    smallest = detector_config(row_suite, 1, wh).anchors.smallest
    try:
        with foreign_code():
            found = coverage(build_without_storage(row_suite, entry, wh), boxes, smallest)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a method of another package does
        return ["-", reason_of(error), *("" for _ in SIZE_BINS), ""]
    if found is None:
        return ["-", "unknown", *("" for _ in SIZE_BINS), ""]
    counts = found.by_side(boxes).values()
    by_size = [f"{count / total:.2f}" if total else "-" for count, total in counts]
    same = np.array_equal(found.own, found.resized)
    resized = "" if same else f"{np.mean(found.resized >= IOU):.2f}"
    return [f"{found.smallest:.1f}", f"{np.mean(found.own >= IOU):.2f}", *by_size, resized]
