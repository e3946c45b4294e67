"""A detector is a backbone, a neck and a head; ``forward`` reads in that order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, overload

import torch
from torch import Tensor, nn

from sobench.data.targets import Targets
from sobench.models.boxes import Detections
from sobench.settings import Anchors, Detect, Neck

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

HeadOutput = dict[str, list[Tensor]]
"""Raw predictions by name, a map for each level."""


@dataclass(frozen=True)
class Blueprint:
    """What a suite pins for every method's network.

    Attributes:
        classes: number of classes, without a background.
        size: height and width of the network input.
        neck: channels and normalisation of the pyramid and of the head's towers.
        head: key of ``catalog.HEADS``.
    """

    classes: int
    size: tuple[int, int]
    neck: Neck
    head: str
    anchors: Anchors
    detect: Detect


class Head(Protocol):
    """What a detector asks of its head; heads are ``nn.Module``."""

    def __call__(self, pyramid: list[Tensor]) -> HeadOutput:
        """Raw predictions from ``[B, C, h, w]`` maps, finest first."""
        ...

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Scalar loss parts by name; their sum is minimised."""
        ...

    def detect(self, output: HeadOutput) -> Detections:
        """Detections in pixels of the network input."""
        ...


class Detector(nn.Module):
    """Images in; losses out while targets are given, detections otherwise."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def predict(self, images: Tensor) -> HeadOutput:
        """Raw predictions of the head from ``[B, 3, H, W]`` pixels in 0..255."""
        pixels = (images - self.mean) / self.std
        return self.head(self.neck(self.backbone(pixels)))

    @overload
    def forward(self, images: Tensor, targets: Targets) -> dict[str, Tensor]: ...

    @overload
    def forward(self, images: Tensor, targets: None = None) -> Detections: ...

    def forward(
        self, images: Tensor, targets: Targets | None = None
    ) -> dict[str, Tensor] | Detections:
        """Losses by name if ``targets`` are given, else ``Detections``.

        Args:
            images: ``[B, 3, H, W]`` uint8 or float, RGB in 0..255.
            targets: padded ground truth in pixels of the input.
        """
        output = self.predict(images)
        # Assignment, losses and pixel coordinates need full precision.
        with torch.autocast(images.device.type, enabled=False):
            output = {name: [m.float() for m in maps] for name, maps in output.items()}
            return self.head.detect(output) if targets is None else self.head.loss(output, targets)
