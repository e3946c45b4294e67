"""Statistics of a dataset against numbers counted by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from sobench.data.dataset import (
    EVERY_CLASS,
    AnnotatedImage,
    Dataset,
    ImageArray,
    SkippedRow,
    as_boxes,
    as_labels,
)
from sobench.data.formats import voc
from sobench.data.statistics import SIZE_BINS, bin_sides, by_bin, by_side, describe, objects
from sobench.suite.input import Input
from sobench.suite.protocols import PROTOCOLS
from tests.real_data import BCCD, BCCD_SPEC


def no_image(index: int) -> ImageArray:
    raise AssertionError(f"image {index} was read")


def image(
    number: int, sides: list[float], labels: list[int], ignored: list[int] | None = None
) -> AnnotatedImage:
    ignored = ignored or []
    return AnnotatedImage(
        id=number,
        name=f"{number}.jpg",
        width=200,
        height=200,
        boxes=as_boxes([(0, 0, side, side) for side in sides]),
        labels=as_labels(labels),
        areas=np.asarray([side**2 for side in sides], dtype=np.float64),
        ignore=as_boxes([(0, 0, 5, 5)] * len(ignored)),
        ignore_labels=as_labels(ignored),
    )


def dataset(*images: AnnotatedImage) -> Dataset:
    return Dataset(
        title="test",
        classes=("car", "ship", "kite"),
        category_ids=(1, 2, 3),
        images=images,
        read_image=no_image,
        skipped=(SkippedRow("a.txt", "row 1", "zero"),),
        notes=Counter({"odd": 2}),
    )


def test_everything_is_counted() -> None:
    statistics = describe(
        dataset(
            image(1, [4, 8, 15.9], [0, 0, 1], [EVERY_CLASS, 0]),
            image(2, [], [], [EVERY_CLASS]),
            image(3, [16, 32, 95, 96, 150], [1, 1, 1, 1, 0]),
            image(4, [10], [0]),
        )
    )

    assert (statistics.images, statistics.boxes) == (4, 9)
    assert statistics.boxes_by_class == {"car": 4, "ship": 5, "kite": 0}
    assert (statistics.ignore_all_classes, statistics.ignore_one_class) == (2, 1)
    assert (statistics.skipped, statistics.notes) == (1, {"odd": 2})
    assert statistics.boxes_per_image == (0, 2.0, 5)
    assert statistics.images_without_boxes == 1


def test_a_split_without_boxes() -> None:
    statistics = describe(dataset(image(1, [], [])))
    assert statistics.boxes_by_class == {"car": 0, "ship": 0, "kite": 0}
    assert statistics.boxes_per_image == (0, 0.0, 0)


def test_real_boxes() -> None:
    training = voc.read(BCCD, BCCD_SPEC, "train")
    statistics = describe(training)
    assert (statistics.images, statistics.boxes) == (2, 24)
    assert statistics.boxes_per_image == (11, 12.0, 13)
    assert statistics.boxes_by_class == {"RBC": 20, "WBC": 2, "Platelets": 2}
    sides = objects(training).sides
    assert np.median(sides) == pytest.approx(103.79, abs=0.01)
    assert [n for n, _ in by_side(sides, sides > 0).values()] == [0, 0, 0, 8, 16]
    # 640x480 at a quarter of both sides.
    smaller = objects(training, Input(size=(120, 160)))
    assert smaller.sides == pytest.approx(sides / 4)
    assert smaller.boxes == pytest.approx(objects(training).boxes / 4)


def test_sides_are_counted_in_bins_that_hold_their_lower_end() -> None:
    sides = np.array([4, 8, 15.9, 10, 16, 32, 95, 96, 150])
    counted = by_side(sides, sides > 9)
    assert counted == {"<8": (0, 1), "8-16": (2, 3), "16-32": (1, 1), "32-96": (2, 2),
                       ">=96": (2, 2)}  # fmt: skip
    assert list(counted) == list(SIZE_BINS)


def test_bins_of_a_protocol_are_of_areas_with_both_ends() -> None:
    found = objects(dataset(image(1, [4, 8, 8.1, 16], [0, 0, 0, 0]), image(2, [33], [1])))
    assert by_bin(PROTOCOLS["aitod"], found) == {"VT": 2, "T": 3, "S": 1, "M": 1}
    assert by_bin(PROTOCOLS["coco"], found) == {"S": 4, "M": 1, "L": 0}


def test_bins_in_words() -> None:
    words = {"VT": "<=8", "T": "8-16", "S": "16-32", "M": ">=32"}
    assert bin_sides(PROTOCOLS["aitod"]) == words
    assert bin_sides(PROTOCOLS["coco"])["L"] == ">=96"


def test_bins_by_the_longest_side_hold_their_lower_end() -> None:
    """TT100K counts by longest side: 32 is of the second bin, and 400 of none."""
    sides = [(31.9, 2), (2, 32), (96, 5), (95, 90), (399.9, 3), (400, 7)]
    wide = AnnotatedImage(
        1, "1.jpg", 900, 900, as_boxes([(0, 0, w, h) for w, h in sides]), as_labels([0] * 6),
        np.array([w * h for w, h in sides]), as_boxes([]), as_labels([]),
    )  # fmt: skip
    protocol = PROTOCOLS["tt100k"]
    assert by_bin(protocol, objects(dataset(wide))) == {"S": 1, "M": 2, "L": 2}
    assert by_bin(protocol, objects(dataset(image(1, [], [])))) == {"S": 0, "M": 0, "L": 0}
    assert bin_sides(protocol)["M"] == "longest 32-96"
