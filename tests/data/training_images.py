"""Small images held in memory, with boxes, and the training batches made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sobench.data.batches import training_batches
from sobench.data.dataset import (
    AnnotatedImage,
    Dataset,
    ImageArray,
    Images,
    Size,
    as_boxes,
    as_labels,
)
from sobench.data.targets import Batch
from sobench.suite.input import Augment, Input

SIDE = 64
INPUT = Input(size=(SIDE, SIDE))
PLAIN = Augment(hflip=0)
RICH = Augment(hflip=0.5, scale_jitter=(0.5, 2.0), photometric=0.5)
BoxList = list[tuple[float, float, float, float]]


def read_nothing(index: int) -> ImageArray:
    raise AssertionError(f"image {index} is read from the cache")


def dataset(
    boxes: Sequence[BoxList],
    ignore: Sequence[BoxList] | None = None,
    size: Size = (SIDE, SIDE),
) -> Dataset:
    """Images of one size; the labels of an image count up from its index."""
    height, width = size
    images = []
    for index, objects in enumerate(boxes):
        regions = ignore[index] if ignore else []
        labels = as_labels([index + k for k in range(len(objects))])
        images.append(
            AnnotatedImage(
                index + 1,
                f"{index}.png",
                width,
                height,
                as_boxes(objects),
                labels,
                np.ones(len(objects)),
                as_boxes(regions),
                as_labels([-1] * len(regions)),
            )
        )
    return Dataset("test", tuple("abcdefghij"), tuple(range(1, 11)), tuple(images), read_nothing)


def grey(count: int) -> ImageArray:
    """Image ``i`` is of grey ``20 * i`` with a bright left edge."""
    images = np.zeros((count, SIDE, SIDE, 3), dtype=np.uint8)
    images[:] = (20 * np.arange(count, dtype=np.uint8))[:, None, None, None]
    images[:, :, :4] = 250
    return images


def rectangle(box: tuple[int, int, int, int]) -> ImageArray:
    """A black image with a bright rectangle."""
    image = np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8)
    image[0, box[1] : box[3], box[0] : box[2]] = 255
    return image


def batches(data: Dataset, images: Images, augment: Augment = PLAIN, **changes: Any) -> list[Batch]:
    arguments: dict[str, Any] = {"batch_size": 2, "seed": 0, "epoch": 0}
    settings = changes.pop("settings", INPUT)
    return list(training_batches(data, images, settings, augment, **(arguments | changes)))


def same(a: Batch, b: Batch) -> bool:
    """Whether images and targets are equal; ``images_2x`` is not compared."""
    pairs, keys = [(a.images, b.images)], ("boxes", "labels", "ignore", "borders")
    pairs += [(getattr(a.targets, k), getattr(b.targets, k)) for k in keys]
    return all(torch.equal(x, y) for x, y in pairs)


def nine() -> tuple[Dataset, ImageArray]:
    """Nine images with none, one or two objects."""
    pairs: list[BoxList] = [[(8.0 + i, 8, 20.0 + i, 30), (40, 40, 50, 50)] for i in range(9)]
    boxes = [pair[: i % 3] for i, pair in enumerate(pairs)]
    return dataset(boxes, ignore=[[(0, 60, 10, 64)] if i % 2 else [] for i in range(9)]), grey(9)
