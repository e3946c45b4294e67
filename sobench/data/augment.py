"""Flip, scale, crop and colour: drawn once, applied to an image, its boxes and its image_2x."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from sobench.data.dataset import Size
from sobench.data.resize import FILL
from sobench.suite.input import Augment

_LEAST_VISIBLE = 0.25
"""An object becomes an ignore region if a crop leaves less than this share of its area."""

_IN_PIXELS = ("size", "padding", "top", "left", "height", "width")
"""The drawn parameters that count pixels; the others are the same at every size."""


class Augmentation:
    """Flip, padding, scale jitter, crop back to the size before it, photometric distortion.

    A sample holds ``image`` ``[3, h, w]`` without its padding, ``boxes`` and ``ignore`` as bounding
    boxes, ``labels``, and ``visible``, the box of the image itself, whose surroundings are padding.
    It may hold ``image_2x`` ``[3, 2h, 2w]``, the image at twice the size, which gets the same draws
    with all pixel counts doubled: pixel ``2y, 2x`` of ``image_2x`` still shows the same point as
    pixel ``y, x`` of ``image``. Its presence changes nothing else.

    Args:
        canvas: height and width in pixels that every image is padded to, also where jitter has made
            it smaller; with ``None`` nothing is padded, and such an image stays smaller.
    """

    def __init__(self, settings: Augment, canvas: Size | None) -> None:
        self.canvas = canvas
        self.hflip = settings.hflip
        self.scale_jitter = settings.scale_jitter
        self.distortion = v2.RandomPhotometricDistort(p=settings.photometric)

    def __call__(self, sample: dict[str, Any], seed: int) -> dict[str, Tensor]:
        """The augmented sample as plain tensors, and ``flipped``, whether it is a mirror image.

        A pure function of its arguments: the draws come from ``seed`` alone.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            flipped = torch.rand(1) < self.hflip
            if flipped:
                sample = _apply(sample, _flip_one, {})
            # Padding is added after the flip, to lie right and below as it does in testing.
            if self.canvas is not None:
                sample = _pad(sample, self.canvas)
            size = _size(sample)
            if self.scale_jitter is not None:
                # torchvision sets the target's width against the image's height and the other way
                # round: by what is drawn it scales an image that is its own target, turned.
                turned = size[::-1]
                jitter = v2.ScaleJitter(turned, scale_range=self.scale_jitter, antialias=True)
                sample = _transform(sample, jitter)
            # Measured after scaling, so that only the crop can lower the visible share.
            areas_before_crop = _areas(sample["boxes"])
            if self.scale_jitter is not None:
                sample = _transform(sample, self._crop(size, _size(sample)))
            if self.distortion.p:
                sample = _transform(sample, self.distortion)
        return _drop_hidden(sample, areas_before_crop) | {"flipped": flipped.squeeze(0)}

    def _crop(self, before: Size, scaled: Size) -> v2.Transform:
        """Crop an image back to the size that it had before it was scaled."""
        if self.canvas is not None:
            return v2.RandomCrop(before, pad_if_needed=True, fill=FILL)
        return v2.RandomCrop((min(before[0], scaled[0]), min(before[1], scaled[1])))


def _size(sample: dict[str, Any]) -> Size:
    height, width = sample["image"].shape[-2:]
    return height, width


def _pad(sample: dict[str, Any], size: Size) -> dict[str, Any]:
    height, width = _size(sample)
    padding = [0, 0, size[1] - width, size[0] - height]
    return _apply(sample, _pad_one, {"padding": padding}) if any(padding) else sample


def _flip_one(image_or_boxes: Any, _: dict[str, Any]) -> Any:
    return v2.functional.horizontal_flip(image_or_boxes)


def _pad_one(image_or_boxes: Any, parameters: dict[str, Any]) -> Any:
    return v2.functional.pad(image_or_boxes, parameters["padding"], fill=list(FILL))


def _transform(sample: dict[str, Any], transform: v2.Transform) -> dict[str, Any]:
    # Drawn for the image alone, so that image_2x cannot change the draw.
    return _apply(sample, transform.transform, transform.make_params([sample["image"]]))


def _apply(
    sample: dict[str, Any], change: Callable[[Any, dict[str, Any]], Any], parameters: dict[str, Any]
) -> dict[str, Any]:
    """The sample with one change made to its images and boxes, in pixels of each image."""
    keys = ("image", "boxes", "ignore", "visible")
    changed = {key: change(sample[key], parameters) for key in keys}
    if "image_2x" in sample:
        parameters_2x = {
            k: np.multiply(v, 2).tolist() for k, v in parameters.items() if k in _IN_PIXELS
        }
        changed["image_2x"] = change(sample["image_2x"], parameters | parameters_2x)
    return sample | changed


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).as_subclass(Tensor)


def _drop_hidden(sample: dict[str, Any], areas_before_crop: Tensor) -> dict[str, Tensor]:
    """Drop the boxes outside the crop; objects that are mostly outside become ignore regions."""
    boxes, ignore = sample["boxes"].as_subclass(Tensor), sample["ignore"].as_subclass(Tensor)
    areas = _areas(boxes)
    visible = (areas > 0) & (areas >= _LEAST_VISIBLE * areas_before_crop)
    mostly_hidden = (areas > 0) & ~visible
    pixels = {
        key: sample[key].as_subclass(Tensor) for key in ("image", "image_2x") if key in sample
    }
    return pixels | {
        "boxes": boxes[visible],
        "labels": sample["labels"][visible],
        "ignore": torch.cat((ignore[_areas(ignore) > 0], boxes[mostly_hidden])),
        "visible": sample["visible"].as_subclass(Tensor),
    }
