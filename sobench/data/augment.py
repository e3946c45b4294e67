"""Flip, scale, crop and colour: drawn once, applied to an image, its boxes and its larger twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from sobench.data.resize import FILL
from sobench.suite.sections import Augment

_LEAST_VISIBLE = 0.25
"""An object of which a crop leaves less than this share becomes an ignore region."""

_IN_PIXELS = ("size", "padding", "top", "left", "height", "width")
"""The drawn parameters that count pixels; all others hold at every size."""


class Augmentation:
    """Flip, padding onto the canvas, scale jitter, crop back to the canvas, photometric distortion.

    A sample holds ``image`` ``[3, h, w]`` without its padding, ``boxes`` and ``ignore`` as bounding
    boxes and ``labels``. It may hold ``image_2x`` ``[3, 2h, 2w]``, the image at twice the size:
    that gets the same draws with all pixel counts doubled, so that pixel ``2y, 2x`` of ``image_2x``
    goes on showing what ``y, x`` of ``image`` shows. Nothing else depends on whether it is there.
    """

    def __init__(self, settings: Augment, size: tuple[int, int]) -> None:
        self.size = size
        self.flip = v2.RandomHorizontalFlip(settings.hflip)
        self.scaling: list[v2.Transform] = []
        self.cutting: list[v2.Transform] = []
        if settings.scale_jitter is not None:
            jitter = v2.ScaleJitter(size, scale_range=settings.scale_jitter, antialias=True)
            self.scaling.append(jitter)
            self.cutting.append(v2.RandomCrop(size, pad_if_needed=True, fill=FILL))
        if settings.photometric:
            self.cutting.append(v2.RandomPhotometricDistort(p=settings.photometric))

    def __call__(self, sample: dict[str, Any], seed: int) -> dict[str, Tensor]:
        """The sample on the canvas, as plain tensors; a pure function of sample and seed."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            # Padding is added after the flip, to lie right and below as it does in testing.
            sample = _on_canvas(self.flip(sample), self.size)
            for transform in self.scaling:
                sample = _drawn(sample, transform)
            whole = _area(sample["boxes"])
            for transform in self.cutting:
                sample = _drawn(sample, transform)
        return _drop_hidden(sample, whole)


def _on_canvas(sample: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    height, width = sample["image"].shape[-2:]
    room = [0, 0, size[1] - width, size[0] - height]
    return _each(sample, _padded, {"padding": room}) if any(room) else sample


def _padded(part: Any, drawn: dict[str, Any]) -> Any:
    return v2.functional.pad(part, drawn["padding"], fill=list(FILL))


def _drawn(sample: dict[str, Any], transform: v2.Transform) -> dict[str, Any]:
    """The draw sees the image alone, so that ``image_2x`` cannot change it."""
    return _each(sample, transform.transform, transform.make_params([sample["image"]]))


def _each(
    sample: dict[str, Any], change: Callable[[Any, dict[str, Any]], Any], drawn: dict[str, Any]
) -> dict[str, Any]:
    changed = {key: change(sample[key], drawn) for key in ("image", "boxes", "ignore")}
    if "image_2x" in sample:
        twice = {k: np.multiply(v, 2).tolist() for k, v in drawn.items() if k in _IN_PIXELS}
        changed["image_2x"] = change(sample["image_2x"], drawn | twice)
    return sample | changed


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).as_subclass(Tensor)


def _drop_hidden(sample: dict[str, Any], whole: Tensor) -> dict[str, Tensor]:
    """Keep what a crop leaves to be seen; objects cut down to a rest become ignore regions."""
    boxes, ignore = sample["boxes"].as_subclass(Tensor), sample["ignore"].as_subclass(Tensor)
    area = _area(boxes)
    kept = (area > 0) & (area >= _LEAST_VISIBLE * whole)
    rest = (area > 0) & ~kept
    pixels = {
        key: sample[key].as_subclass(Tensor) for key in ("image", "image_2x") if key in sample
    }
    return pixels | {
        "boxes": boxes[kept],
        "labels": sample["labels"][kept],
        "ignore": torch.cat((ignore[_area(ignore) > 0], boxes[rest])),
    }
