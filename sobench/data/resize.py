"""From pixels of the original image to pixels of the network input, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sobench.data.dataset import Dataset, FloatArray, ImageArray, Size
from sobench.suite.input import Input

FILL = (124, 116, 104)
"""Colour of padding: ImageNet's mean, which normalisation turns into zero."""

_MULTIPLE = 32
"""Sides of canvases that vary are multiples of this: the stride of a backbone's last map."""


@dataclass(frozen=True)
class ResizeGeometry:
    """The scaled image inside the network input; it lies in the top left corner.

    Attributes:
        size: height and width of the scaled image, in pixels of the input.
        scale: the factors for ``x`` and ``y``, in this order because they multiply boxes; exactly
            width / original width and height / original height.
    """

    size: Size
    scale: tuple[float, float]

    @property
    def limit(self) -> FloatArray:
        """``[4]`` the largest ``x1, y1, x2, y2`` inside the scaled image."""
        height, width = self.size
        return np.array((width, height) * 2, dtype=np.float64)

    def to_input(self, boxes: FloatArray) -> FloatArray:
        """``[N, 4]`` boxes of the original image in pixels of the input."""
        scaled: FloatArray = boxes * np.array(self.scale * 2)
        return scaled

    def to_original(self, boxes: FloatArray) -> FloatArray:
        """``[N, 4]`` boxes of the input in pixels of the original, clipped to the image."""
        original: FloatArray = np.clip(boxes, 0, self.limit) / np.array(self.scale * 2)
        return original


def has_one_canvas(settings: Input) -> bool:
    """Whether every batch has ``input_shape``; otherwise this is the largest that one can have."""
    return settings.resize != "shorter_side"


def input_shape(settings: Input) -> Size:
    """Height and width of the network input, or of the largest one; any image fits in it."""
    if has_one_canvas(settings):
        return settings.size
    side = _rounded_up(settings.size[1])
    return side, side


def batch_canvas(settings: Input, sizes: Iterable[Size]) -> Size:
    """Height and width that images of these sizes, as resized, are padded to in one batch."""
    if has_one_canvas(settings):
        return settings.size
    heights, widths = zip(*sizes, strict=True)
    return _rounded_up(max(heights)), _rounded_up(max(widths))


def typical_shape(settings: Input) -> Size:
    """Height and width of the input at which costs are counted.

    With ``shorter_side`` it is that of a wide image with exactly these sides: 800 x 1344 for
    ``[800, 1333]``.
    """
    if has_one_canvas(settings):
        return settings.size
    shorter, longer = settings.size
    return _rounded_up(shorter), _rounded_up(longer)


def _rounded_up(side: int) -> int:
    return -(-side // _MULTIPLE) * _MULTIPLE


def at_double_size(settings: Input) -> Input:
    """The same kind of resizing, to twice the height and width.

    Up to the rounding of one pixel, an image becomes twice as large as without doubling. With
    ``shorter_side`` the largest input itself may be smaller than twice the plain one, because its
    side is rounded up once in either case: 130 gives 160 and 260 gives 288. Batches pad the doubled
    images to exactly twice the canvas of the plain ones.
    """
    height, width = settings.size
    return settings.model_copy(update={"size": (2 * height, 2 * width)})


def resize_geometry(settings: Input, size: Size) -> ResizeGeometry:
    """The size and scale in the network input of an image of ``size`` (height, width) pixels."""
    height, width = size
    if settings.resize == "stretch":
        new_height, new_width = settings.size
    else:
        if settings.resize == "letterbox":
            scale = min(settings.size[1] / width, settings.size[0] / height)
        else:
            shorter, longer = settings.size
            scale = min(shorter / min(size), longer / max(size))
        new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    return ResizeGeometry((new_height, new_width), (new_width / width, new_height / height))


def input_boxes(dataset: Dataset, settings: Input) -> FloatArray:
    """``[N, 4]`` ``x1, y1, x2, y2`` of all objects in pixels of the input."""
    scaled = [
        resize_geometry(settings, image.size).to_input(image.boxes) for image in dataset.images
    ]
    return np.concatenate([np.empty((0, 4)), *scaled])


def box_wh(dataset: Dataset, settings: Input) -> FloatArray | None:
    """``[N, 2]`` width and height of all objects in pixels of the input; ``None`` without any."""
    scaled = [
        (image.boxes[:, 2:] - image.boxes[:, :2]) * resize_geometry(settings, image.size).scale
        for image in dataset.images
    ]
    joined = np.concatenate(scaled) if scaled else np.empty((0, 2))
    return joined if len(joined) else None


def resize(image: ImageArray, settings: Input) -> ImageArray:
    """``[h, w, 3]`` -> ``[h', w', 3]`` of ``resize_geometry``: antialiased bilinear, not padded."""
    height, width = resize_geometry(settings, image.shape[:2]).size
    if image.shape[:2] == (height, width):
        return image
    # Pillow takes width and height.
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def on_canvas(image: ImageArray, canvas: Size) -> ImageArray:
    """``[h, w, 3]`` -> ``[H, W, 3]``: padded right and below in ``FILL``, or cut off there."""
    height, width = (min(sides) for sides in zip(canvas, image.shape[:2], strict=True))
    if image.shape[:2] == canvas:
        return image
    padded = np.empty((*canvas, 3), dtype=np.uint8)
    padded[:] = FILL
    padded[:height, :width] = image[:height, :width]
    return padded


@dataclass(frozen=True)
class DecodedImages:
    """The images of a dataset, decoded and resized whenever one is asked for; can be pickled."""

    dataset: Dataset
    settings: Input

    def __len__(self) -> int:
        return len(self.dataset.images)

    def __getitem__(self, index: int, /) -> ImageArray:
        """``[h, w, 3]`` uint8, not padded.

        Raises:
            DataError: the image cannot be read.
        """
        chosen = range(len(self))[index]
        return resize(self.dataset.read_image(chosen), self.settings)
