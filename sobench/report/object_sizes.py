"""The sizes of objects, in the images and at the input, and the anchors that are to meet them."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np
from rich.console import Console

from sobench.data.annotations import Split
from sobench.data.dataset import Dataset, FloatArray
from sobench.data.resize import box_wh
from sobench.data.statistics import SIZE_BINS, Objects, bin_sides, by_bin, by_side, objects
from sobench.report.terminal import print_lines, print_table, print_warning
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.sections import Suite


def print_sizes(suite: Suite, splits: Mapping[Split, Dataset], console: Console) -> None:
    """Print the objects by the bins of the suite's protocol and by their sides, in both scales.

    A warning follows if most training objects are too small at the input for the suite's anchors.
    """
    measured: dict[str, Objects] = {name: objects(dataset) for name, dataset in splits.items()}
    for name, dataset in splits.items():
        measured[f"{name} at the input"] = objects(dataset, suite.input)
    _print_bins(suite, measured, console)
    _print_sides(measured, console)
    smallest, stride = finest_anchor(suite, splits["train"])
    text = f"The suite's smallest anchor has a side of {smallest:.1f} px at the input; the head's "
    print_lines(console, [f"{text}finest map has a cell every {stride} px."], style="")
    if warning := too_small(measured["train at the input"].sides, smallest, stride):
        print_warning(console, f"warning: {warning}")
    console.print()


def share(count: int, total: int) -> str:
    """A count of boxes, with its share of all boxes of the split."""
    return f"{count} ({100 * count / total:.0f} %)" if total else str(count)


def finest_anchor(suite: Suite, training: Dataset) -> tuple[float, int]:
    """Side of the suite's smallest anchor and stride of its head's finest map, in input pixels."""
    # torch takes seconds to import
    from sobench.models.build import detector_config
    from sobench.models.heads import head_levels

    config = detector_config(suite, 1, box_wh(training, suite.input))
    return config.anchors.smallest, head_levels(suite.head).strides[0]


def too_small(sides: FloatArray, smallest: float, stride: int) -> str:
    """The warning that most objects are too small for the anchors; empty if they are not.

    An anchor of side a around an object of side s < a has an IoU of at most s^2 / a^2, so that
    objects below a / sqrt 2 are met by no anchor at .5. Smaller anchors help as long as the stride
    is not too large for them; beyond that, only a larger input does.

    Args:
        sides: ``[N]`` of the objects in pixels of the input.
        smallest, stride: as of ``finest_anchor``.
    """
    from sobench.models.parts.anchors import LEAST_STRIDES

    limit, finest = smallest / sqrt(2), LEAST_STRIDES * stride
    missed = float(np.mean(sides < limit)) if len(sides) else 0.0
    if missed <= 0.5:
        return ""
    median = float(np.median(sides))
    way_out = f"anchors: {{smallest: {max(finest, round(median)):g}}} would meet more"
    if median < finest / sqrt(2):
        way_out = (
            f"an input.size of {finest / median:.1f} times the height and width with "
            f"anchors: {{smallest: {finest:g}}} would meet about half of them"
        )
    return (
        f"{100 * missed:.0f} % of the training objects have sides below {limit:.1f} px at the "
        f"input (median {median:.1f}), too small for any anchor to reach an IoU of .5, so that AP "
        f"will be low; {way_out}"
    )


def _print_bins(suite: Suite, measured: Mapping[str, Objects], console: Console) -> None:
    protocol = PROTOCOLS[suite.protocol]
    if not bin_sides(protocol):
        return
    counts = [(by_bin(protocol, found), len(found.areas)) for found in measured.values()]
    table_rows = [
        [name, sides, *(share(count[name], total) for count, total in counts)]
        for name, sides in bin_sides(protocol).items()
    ]
    title = f"boxes by size of protocol {protocol.name}, which counts pixels of the original image"
    print_table(console, ["size", "side px", *measured], table_rows, title)


def _print_sides(measured: Mapping[str, Objects], console: Console) -> None:
    counts = [by_side(found.sides, np.ones(len(found.sides), bool)) for found in measured.values()]
    table_rows = [
        [name, *(share(count[name][0], sum(n for n, _ in count.values())) for count in counts)]
        for name in SIZE_BINS
    ]
    medians = [f"{np.median(x.sides):.1f}" if len(x.sides) else "-" for x in measured.values()]
    print_table(
        console, ["side px", *measured], [*table_rows, ["median", *medians]], "boxes by side"
    )
