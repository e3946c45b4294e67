"""A small config for tests of heads and methods, and ground truth as tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sobench.data.targets import Targets
from sobench.models.detector import DetectorConfig
from sobench.suite.detect import Detect
from sobench.suite.network import Anchors, Neck

CLASSES = 3
SIZE = (64, 96)
"""(height, width) of the network input."""


def make_config(**changes: Any) -> DetectorConfig:
    """Three classes, 64 x 96 pixels, eight channels, and defaults for the other settings."""
    defaults: dict[str, Any] = {
        "num_classes": CLASSES,
        "size": SIZE,
        "neck": Neck(channels=8),
        "head": "retinanet",
        "anchors": Anchors(),
        "detect": Detect(),
    }
    return DetectorConfig(**(defaults | changes))


def targets(
    boxes: list[list[tuple[float, ...]]],
    labels: list[list[int]],
    ignore: list[list[tuple[float, ...]]] | None = None,
) -> Targets:
    """Targets of a batch, padded to the most boxes of an image, and at least to one.

    Args:
        boxes, labels: of each image.
        ignore: regions of each image, equally many.
    """
    longest = max(1, *(len(image) for image in boxes))
    return Targets(
        torch.tensor([[*image, *[(0.0,) * 4] * (longest - len(image))] for image in boxes]),
        torch.tensor([[*image, *[-1] * (longest - len(image))] for image in labels]),
        torch.tensor(ignore) if ignore else torch.zeros(len(boxes), 0, 4),
        no_padding(len(boxes)),
    )


def no_padding(count: int) -> Tensor:
    """``Targets.borders`` of images that fill the input."""
    return torch.tensor([[-torch.inf, -torch.inf, torch.inf, torch.inf]] * count)
