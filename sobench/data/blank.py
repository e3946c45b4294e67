"""Test images of which only the objects and some background around them are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sobench.data.dataset import Dataset, FloatArray, ImageArray, Images
from sobench.data.resize import FILL, resize_geometry
from sobench.suite.input import Input


class BlankedImages:
    """``[h, w, 3]`` uint8 inputs, filled with the mean colour wherever no object is near.

    Kept are boxes with the centre and the aspect ratio of the annotated objects and ``times`` their
    area, with every pixel that such a box touches; ZoomInNet (Liu et al., 2021), Table 1, where
    once the area is the annotated box itself. Ignore regions are blanked. The fill is ours: the
    paper does not name its colour. Pixels are blanked in the input, so at the edges of a kept box
    they hold what the resizing mixed into them from outside.

    Args:
        images: of the dataset, resized as ``settings`` say.
        times: area of a kept box over that of its object.
    """

    def __init__(self, images: Images, dataset: Dataset, settings: Input, times: float) -> None:
        self.images = images
        self.dataset = dataset
        self.settings = settings
        self.times = times

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int, /) -> ImageArray:
        """``[h, w, 3]`` of an index."""
        image = self.dataset.images[index]
        boxes = resize_geometry(self.settings, image.size).to_input(image.boxes)
        pixels = self.images[index]
        kept = _touched(_enlarged(boxes, self.times), pixels.shape[:2])
        blank: ImageArray = np.where(kept[..., None], pixels, np.array(FILL, np.uint8))
        return blank


def _enlarged(boxes: FloatArray, times: float) -> FloatArray:
    """``[N, 4]`` boxes about the same centres, of ``times`` the area."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = half * times**0.5
    return np.concatenate((centre - half, centre + half), axis=1)


def _touched(boxes: FloatArray, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """``[H, W]`` bool, the pixels that a box has a part of."""
    touched = np.zeros(size, dtype=bool)
    limit = np.array((size[1], size[0]) * 2)
    starts = np.clip(np.floor(boxes[:, :2]), 0, limit[:2]).astype(int)
    ends = np.clip(np.ceil(boxes[:, 2:]), 0, limit[2:]).astype(int)
    for (left, top), (right, bottom) in zip(starts, ends, strict=True):
        touched[top:bottom, left:right] = True
    return touched
