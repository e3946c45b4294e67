"""Pixel (2y, 2x) of image_2x shows the same point as pixel (y, x) of image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from sobench.data.batches import training_batches
from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.data.resize import FILL, at_double_size, has_one_canvas, input_shape, resize
from sobench.suite.input import Augment, Input

STRETCH = Input(size=(64, 96), resize="stretch")
LETTERBOX = Input(size=(64, 96), resize="letterbox")
SHORTER = Input(size=(50, 66), resize="shorter_side")
WAYS = pytest.mark.parametrize("settings", [STRETCH, LETTERBOX, SHORTER], ids=lambda s: s.resize)

FLIP = Augment(hflip=0.5)
UP = Augment(hflip=0, scale_jitter=(2, 3))
DOWN = Augment(hflip=0, scale_jitter=(0.5, 1))
COLOUR = Augment(hflip=0, photometric=0.7)
ALL = Augment(hflip=0.5, scale_jitter=(0.5, 3), photometric=0.5)


def waves(height: int, width: int) -> ImageArray:
    """Smooth and different everywhere: in each colour, a wave of its own length and direction."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    phases = (6 * x + 5 * y, 7 * x - 4 * y, 3 * x + 7 * y)
    levels = [120 + 20 * x + 80 * np.sin(np.pi * phase) for phase in phases]
    return np.stack(levels, axis=2).astype(np.uint8)


def pairs(
    settings: Input, augment: Augment, image: ImageArray, box: tuple[int, int, int, int], count: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """``image``, ``image_2x`` and the boxes that remain, from ``count`` epochs."""
    height, width = image.shape[:2]
    annotated = AnnotatedImage(
        1, "0.png", width, height, as_boxes([box]), as_labels([0]), np.ones(1), as_boxes([]),
        as_labels([]),
    )  # fmt: skip
    data = Dataset("test", ("a",), (1,), (annotated,), lambda _: image)
    images = resize(image, settings)[None]
    images_2x = resize(image, at_double_size(settings))[None]
    for epoch in range(count):
        (batch,) = training_batches(
            data, images, settings, augment, 1, 0, epoch, images_2x=images_2x
        )
        targets = batch.targets
        assert batch.images_2x is not None
        yield batch.images[0], batch.images_2x[0], targets.boxes[0][targets.labels[0] >= 0]


def halved(image_2x: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(image_2x.float(), 2)


# -------------------------------------------------------------------------- the same everywhere


@WAYS
@pytest.mark.parametrize("augment", [FLIP, UP, DOWN, COLOUR, ALL])
@pytest.mark.parametrize("size", [(320, 480), (251, 166), (170, 333)])
def test_image_2x_shows_the_same(settings: Input, augment: Augment, size: tuple[int, int]) -> None:
    """A neighbouring pixel differs by some ten levels, so even half a pixel's shift shows."""
    errors = []
    for image, image_2x, _ in pairs(settings, augment, waves(*size), (0, 0, 9, 9), count=10):
        height, width = image.shape[1:]
        if has_one_canvas(settings):
            assert (height, width) == input_shape(settings)
        assert image_2x.shape == (3, 2 * height, 2 * width)
        errors.append(float((halved(image_2x) - image.float()).abs().mean()))
    assert max(errors) < 1.5


# ------------------------------------------------------------------------------- corners by hand


def extent(image: Tensor) -> list[float]:
    """``x1, y1, x2, y2`` of the pixels brighter than half white, which the padding is not."""
    bright = image.float().mean(dim=0) > 128
    columns, rows = bright.any(dim=0).nonzero(), bright.any(dim=1).nonzero()
    ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return [float(x) for x in ends]


def block(settings: Input, box: tuple[int, int, int, int]) -> ImageArray:
    """A white block on black, four times as large as it will be in the input."""
    width = 256
    height = 256 if settings.resize == "stretch" else 192
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return image


SQUARES = (
    Input(size=(64, 64), resize="stretch"),
    Input(size=(64, 64), resize="letterbox"),
    Input(size=(48, 64), resize="shorter_side"),
)


@pytest.mark.parametrize("settings", SQUARES, ids=lambda s: s.resize)
@pytest.mark.parametrize("hflip", [0, 1])
@pytest.mark.parametrize("factor", [None, 0.5, 2])
def test_corners_are_doubled(settings: Input, hflip: int, factor: float | None) -> None:
    box = (40, 48, 104, 72)
    augment = Augment(hflip=hflip, scale_jitter=factor and (factor, factor))
    boxes_seen = set()
    for image, image_2x, boxes in pairs(settings, augment, block(settings, box), box, count=40):
        if len(boxes):  # else the crop has cut it away
            (remaining,) = boxes.tolist()
            assert extent(image) == remaining
            assert extent(image_2x) == [2 * x for x in remaining]
            boxes_seen.add(tuple(remaining))
    x1, x2 = (10, 26) if not hflip else (38, 54)
    if factor is None:
        assert boxes_seen == {(x1, 12, x2, 18)}
    elif factor < 1 and not has_one_canvas(settings):  # it becomes a smaller image
        x1, x2 = (5, 13) if not hflip else (19, 27)
        assert boxes_seen == {(x1, 6, x2, 9)}
    else:
        assert len(boxes_seen) > 5  # as many places as the crop had


def test_padding_of_image_2x_is_doubled() -> None:
    settings, box = SQUARES[1], (0, 0, 256, 192)
    augment = Augment(hflip=0.5, scale_jitter=(0.5, 0.5))
    for image, image_2x, boxes in pairs(settings, augment, block(settings, box), box, count=10):
        x1, y1, x2, y2 = (int(x) for x in boxes[0])
        assert (x2 - x1, y2 - y1) == (32, 24)
        for pixels, times in ((image, 1), (image_2x, 2)):
            inside = torch.zeros(pixels.shape[1:], dtype=torch.bool)
            inside[times * y1 : times * y2, times * x1 : times * x2] = True
            assert (pixels[:, inside] > 128).all()
            far = torch.ones_like(inside)  # resizing blends the edge with the padding
            far[times * y1 : times * y2 + 2, times * x1 : times * x2 + 2] = False
            padding = pixels[:, far].T
            mean = torch.tensor(FILL, dtype=torch.uint8)
            assert torch.equal(padding, mean.expand_as(padding))


def test_photometric_distortion_is_the_same_for_both() -> None:
    """In one colour all over, both must come out in exactly the same other colour."""
    plain = np.empty((64, 96, 3), dtype=np.uint8)
    plain[:] = (60, 120, 200)
    colours = set()
    for image, image_2x, _ in pairs(STRETCH, COLOUR, plain, (0, 0, 9, 9), count=12):
        colour = image[:, :1, :1]
        assert (image == colour).all()
        assert (image_2x == colour).all()
        colours.add(tuple(colour.flatten().tolist()))
    assert len(colours) > 6
