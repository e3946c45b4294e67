"""From pixels of the original image to pixels of the network input, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sobench.data.dataset import Dataset, FloatArray, ImageArray
from sobench.suite.sections import Input

FILL = (124, 116, 104)
"""Colour of padding: ImageNet's mean, which normalisation turns into zero."""


@dataclass(frozen=True)
class ResizeGeometry:
    """Where an image lies on the canvas: in its top left corner, scaled.

    Attributes:
        width, height: of the scaled image, in pixels of the input.
        scale: ``x, y`` factors, exactly ``width / original width`` and so on.
    """

    width: int
    height: int
    scale: tuple[float, float]

    def to_input(self, boxes: FloatArray) -> FloatArray:
        """``[N, 4]`` boxes of the original image in pixels of the input."""
        scaled: FloatArray = boxes * np.array(self.scale * 2)
        return scaled

    def to_original(self, boxes: FloatArray) -> FloatArray:
        """``[N, 4]`` boxes of the input in pixels of the original, clipped to the image."""
        limit = np.array((self.width, self.height) * 2, dtype=np.float64)
        original: FloatArray = np.clip(boxes, 0, limit) / np.array(self.scale * 2)
        return original


def input_shape(settings: Input) -> tuple[int, int]:
    """Height and width of the network input, the same for every image of a suite."""
    if settings.resize == "shorter_side":
        side = -(-settings.size[1] // 32) * 32
        return side, side
    return settings.size


def at_double_size(settings: Input) -> Input:
    """The same way to resize, to twice the size in both directions.

    Up to the rounding of one pixel an image becomes twice as large as on the plain canvas. With
    ``shorter_side`` the canvas itself may stay below twice the plain one, as it is rounded up but
    once: 130 gives 160 and 260 gives 288. Batches place both on twice the plain canvas.
    """
    high, wide = settings.size
    return settings.model_copy(update={"size": (2 * high, 2 * wide)})


def resize_geometry(settings: Input, width: int, height: int) -> ResizeGeometry:
    """Where an image of ``width`` x ``height`` pixels lies on the canvas."""
    high, wide = settings.size
    if settings.resize == "stretch":
        new_width, new_height = wide, high
    else:
        if settings.resize == "letterbox":
            scale = min(wide / width, high / height)
        else:
            shorter, longer = settings.size
            scale = min(shorter / min(width, height), longer / max(width, height))
        new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    return ResizeGeometry(new_width, new_height, (new_width / width, new_height / height))


def box_wh(dataset: Dataset, settings: Input) -> FloatArray | None:
    """``[N, 2]`` width and height of all objects in pixels of the input; ``None`` without any."""
    sizes = [
        (image.boxes[:, 2:] - image.boxes[:, :2])
        * resize_geometry(settings, image.width, image.height).scale
        for image in dataset.images
    ]
    found = np.concatenate(sizes) if sizes else np.empty((0, 2))
    return found if len(found) else None


def resize(image: ImageArray, settings: Input) -> ImageArray:
    """``[h, w, 3]`` -> the canvas ``[H, W, 3]``: antialiased bilinear, padded right and below."""
    height, width = image.shape[:2]
    geometry = resize_geometry(settings, width, height)
    scaled = image
    if (geometry.width, geometry.height) != (width, height):
        size = (geometry.width, geometry.height)
        scaled = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    if scaled.shape[:2] == input_shape(settings):
        return scaled
    padded = np.empty((*input_shape(settings), 3), dtype=np.uint8)
    padded[:] = FILL
    padded[: geometry.height, : geometry.width] = scaled
    return padded
