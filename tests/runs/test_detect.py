"""Detections come back in pixels of the original images, in their order, with file ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.models.parts.nms import Detections
from sobench.runs.detect import detect
from sobench.suite.input import Input

SIZES = ((128, 64), (32, 64), (64, 64), (640, 320), (64, 16))  # width, height

# What the fake detector says of image i, whose pixels are all i: boxes, scores, labels.
FOUND: dict[int, list[tuple[tuple[float, float, float, float], float, int]]] = {
    0: [((8, 4, 16, 12), 0.75, 1), ((0, 0, 64, 32), 0.5, 0)],
    1: [],
    2: [((1, 2, 3, 4), 0.25, 2)],
    3: [((-4, 16, 70, 60), 0.125, 0)],
    4: [((4, 4, 8, 8), 0.875, 2), ((0, 0, 4, 4), 0.625, 1), ((8, 0, 12, 4), 0.5, 1)],
}


class Oracle(nn.Module):
    """Says what ``FOUND`` holds of each image, padded as a detector does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.batches: list[int] = []
        self.modes: set[bool] = set()
        self.in_bf16: set[bool] = set()
        self.shapes: set[tuple[int, ...]] = set()

    def forward(self, images: Tensor) -> Detections:
        self.batches.append(len(images))
        self.modes.add(self.training or torch.is_grad_enabled())
        self.in_bf16.add(torch.is_autocast_enabled("cpu"))
        self.shapes |= {(int(image[0, 0, 0]), *image.shape[-2:]) for image in images}
        rows = [FOUND[int(image[0, 0, 0])] for image in images]
        longest = max(map(len, rows))
        boxes = torch.zeros(len(rows), longest, 4)
        scores, labels = boxes[..., 0].clone(), torch.full((len(rows), longest), -1)
        for index, row in enumerate(rows):
            for k, (box, score, label) in enumerate(row):
                boxes[index, k] = torch.tensor(box)
                scores[index, k] = score
                labels[index, k] = label
        return Detections(boxes, scores, labels)


def dataset() -> Dataset:
    none = as_boxes([])
    images = tuple(
        AnnotatedImage(
            100 - i, f"{i}.png", *size, none, as_labels([]), np.zeros(0), none, as_labels([])
        )
        for i, size in enumerate(SIZES)
    )
    return Dataset("test", ("a", "b", "c"), (3, 7, 90), images, lambda _: pixels()[0])


def pixels() -> ImageArray:
    images = np.zeros((5, 64, 64, 3), dtype=np.uint8)
    images[:] = np.arange(5, dtype=np.uint8)[:, None, None, None]
    return images


def detected(resize: str, **options: Any) -> tuple[list[Any], Oracle]:
    settings = Input.model_validate({"size": [64, 64], "resize": resize})
    oracle = Oracle().train()
    options = {"batch_size": 2, "precision": "fp32"} | options
    detections = detect(oracle, pixels(), dataset(), settings, **options)  # type: ignore[arg-type]
    return list(detections), oracle


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "shorter_side"])
def test_ids_scores_and_order(resize: str) -> None:
    detections, oracle = detected(resize)
    assert [row["image_id"] for row in detections] == [100, 100, 98, 97, 96, 96, 96]
    assert [row["category_id"] for row in detections] == [7, 3, 90, 3, 90, 7, 7]
    assert [row["score"] for row in detections] == [0.75, 0.5, 0.25, 0.125, 0.875, 0.625, 0.5]
    assert oracle.modes == {False}  # neither training nor gradients
    if resize != "shorter_side":
        assert oracle.batches == [2, 2, 1]
        assert oracle.shapes == {(i, 64, 64) for i in range(5)}


def test_images_of_one_canvas_share_a_batch() -> None:
    """Scaled to at most 64 pixels, and padded as if they were alone."""
    _, oracle = detected("shorter_side")
    assert oracle.batches == [2, 1, 1, 1]
    assert oracle.shapes == {(0, 32, 64), (3, 32, 64), (4, 32, 64), (1, 64, 32), (2, 64, 64)}


def test_boxes_of_stretched_images() -> None:
    detections, _ = detected("stretch")
    # Factors back to the original: (2, 1), (1, 1), (10, 5), (1, 1/4); x, y, width, height.
    assert [row["bbox"] for row in detections] == [
        [16, 4, 16, 8],
        [0, 0, 128, 32],
        [1, 2, 2, 2],
        [0, 80, 640, 220],  # ends at the image
        [4, 1, 4, 1],
        [0, 0, 4, 1],
        [8, 0, 4, 1],
    ]


def test_boxes_of_letterboxed_images() -> None:
    detections, _ = detected("letterbox")
    # One factor in both directions: 2, 1, 10, 1; the padding below is cut off.
    assert [row["bbox"] for row in detections] == [
        [16, 8, 16, 16],
        [0, 0, 128, 64],
        [1, 2, 2, 2],
        [0, 160, 640, 160],
        [4, 4, 4, 4],
        [0, 0, 4, 4],
        [8, 0, 4, 4],
    ]


def test_boxes_that_lie_in_the_padding_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [((0.0, 40.0, 9.0, 50.0), 0.75, 1), ((0.0, 16.0, 9.0, 50.0), 0.5, 0)]
    monkeypatch.setitem(FOUND, 0, found)  # of an image that is 32 px high in the input
    detections, _ = detected("letterbox")
    assert [row["bbox"] for row in detections if row["image_id"] == 100] == [[0, 32, 18, 32]]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_network_computes_in_the_precision(precision: str) -> None:
    _, oracle = detected("stretch", precision=precision)
    assert oracle.in_bf16 == {precision == "bf16"}


def test_detections_are_plain_numbers() -> None:
    detections, _ = detected("stretch")
    for row in detections:
        assert type(row["image_id"]) is int
        assert type(row["category_id"]) is int
        assert type(row["score"]) is float
        assert {type(x) for x in row["bbox"]} == {float}


def test_progress_is_reported() -> None:
    seen: list[tuple[int, int]] = []
    detected("stretch", on_images=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]
