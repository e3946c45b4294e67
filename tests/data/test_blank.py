"""Images blanked around the objects, pixel by pixel."""

from __future__ import annotations

import numpy as np

from sobench.data.blank import BlankedImages
from sobench.data.dataset import AnnotatedImage, Dataset, as_boxes, as_labels
from sobench.data.resize import FILL
from sobench.suite.input import Input

Box = tuple[float, float, float, float]


def dataset_of(*images: list[Box]) -> Dataset:
    """Images of 40 x 20 px with boxes ``x1, y1, x2, y2`` and an ignore region each."""
    region = np.array([[0.0, 0, 3, 3]])
    annotated = tuple(
        AnnotatedImage(
            i, f"{i}.png", 40, 20, as_boxes(boxes), as_labels([0] * len(boxes)),
            np.ones(len(boxes)), region, as_labels([-1]),
        )
        for i, boxes in enumerate(images)
    )  # fmt: skip
    return Dataset("test", ("a",), (1,), annotated, lambda _: np.zeros((1, 1, 3), np.uint8))


def kept(
    boxes: list[Box], times: float, size: tuple[int, int] = (32, 40), resize: str = "letterbox"
) -> set[tuple[int, int]]:
    """Column and row of the pixels of a white image that are not blanked."""
    images = np.full((1, *size, 3), 255, np.uint8)
    settings = Input.model_validate({"size": size, "resize": resize})
    blanked = BlankedImages(images, dataset_of(boxes), settings, times)[0]
    white = (blanked == 255).all(axis=-1)
    assert (blanked[~white] == FILL).all()
    assert (images == 255).all()  # which others read too
    return {(int(x), int(y)) for y, x in np.argwhere(white)}


def pixels(x1: int, y1: int, x2: int, y2: int) -> set[tuple[int, int]]:
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


def test_once_the_area_is_the_box_and_four_times_has_twice_the_sides() -> None:
    assert kept([(10, 4, 14, 10)], 1) == pixels(10, 4, 14, 10)
    assert kept([(10, 4, 14, 10)], 4) == pixels(8, 1, 16, 13)
    assert kept([(10, 4, 14, 8)], 2.25) == pixels(9, 3, 15, 9)


def test_pixels_that_a_box_touches_are_kept_and_it_ends_at_the_input() -> None:
    assert kept([(10.6, 4.2, 10.8, 5.1)], 1) == pixels(10, 4, 11, 6)
    assert kept([(0, 0, 4, 4)], 4) == pixels(0, 0, 6, 6)
    assert kept([(36, 0, 40, 4)], 4) == pixels(34, 0, 40, 6)


def test_boxes_are_those_of_the_input() -> None:
    assert kept([(10, 4, 14, 8)], 1, (40, 80), "stretch") == pixels(20, 8, 28, 16)
    assert kept([(10, 4, 14, 8)], 4, (60, 80), "stretch") == pixels(16, 6, 32, 30)


def test_several_objects_and_none() -> None:
    assert kept([(1, 1, 3, 3), (2, 2, 5, 5)], 1) == pixels(1, 1, 3, 3) | pixels(2, 2, 5, 5)
    assert kept([], 5) == set()
