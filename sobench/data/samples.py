"""Training images as they are before augmentation: without padding, with boxes in their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from sobench.data.dataset import AnnotatedImage, FloatArray, ImageArray, Size
from sobench.data.resize import ResizeGeometry, at_double_size, resize_geometry
from sobench.suite.input import Input


def sample_of(
    annotated: AnnotatedImage, pixels: ImageArray | None, settings: Input
) -> dict[str, Any]:
    """The image without its padding, with boxes in its pixels; see ``Augmentation``.

    Args:
        pixels: ``[h, w, 3]`` uint8, resized as ``settings`` say; without them the image of the
            sample has a size alone.
    """
    geometry = resize_geometry(settings, annotated.size)
    height, width = geometry.size
    if pixels is None:
        empty = torch.empty(3, height, width, dtype=torch.uint8, device="meta")
        image = tv_tensors.Image(empty)
    else:
        image = _without_padding(pixels, geometry.size)
    return {
        "image": image,
        "boxes": _boxes(annotated.boxes, geometry),
        "ignore": _boxes(annotated.ignore, geometry),
        "labels": torch.from_numpy(annotated.labels.copy()),
        "visible": tv_tensors.BoundingBoxes(
            torch.tensor([[0.0, 0.0, width, height]]), format="XYXY", canvas_size=geometry.size
        ),
    }


def image_2x_of(annotated: AnnotatedImage, pixels: ImageArray, settings: Input) -> tv_tensors.Image:
    """The larger image without its padding, at exactly twice the size of the plain one.

    Either size was rounded separately, so a side may be one pixel off, which jitter would magnify.

    Args:
        pixels: ``[h, w, 3]`` uint8, resized for ``at_double_size(settings)``.
    """
    plain = resize_geometry(settings, annotated.size).size
    geometry = resize_geometry(at_double_size(settings), annotated.size)
    image_2x = _without_padding(pixels, geometry.size)
    return v2.functional.resize(image_2x, [2 * side for side in plain], antialias=True)


def _without_padding(pixels: ImageArray, size: Size) -> tv_tensors.Image:
    """``[3, h, w]`` in memory of its own, from ``[H, W, 3]`` padded right and below."""
    height, width = size
    return tv_tensors.Image(torch.from_numpy(np.array(pixels[:height, :width])).permute(2, 0, 1))


def _boxes(boxes: FloatArray, geometry: ResizeGeometry) -> tv_tensors.BoundingBoxes:
    """Boxes of the original image in pixels of the input, clipped to the image."""
    clipped = np.clip(geometry.to_input(boxes), 0, geometry.limit).astype(np.float32)
    return tv_tensors.BoundingBoxes(
        torch.from_numpy(clipped), format="XYXY", canvas_size=geometry.size
    )
