"""The batch contract: padded ground truth, in pixels of the network input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Padded ground truth of a batch, in pixels of the network input.

    Attributes:
        boxes: ``[B, G, 4]`` float ``x1, y1, x2, y2``; ``G`` is at least 1.
        labels: ``[B, G]`` int64 in ``0..K-1``, ``-1`` for padding.
        ignore: ``[B, I, 4]`` float regions that are neither object nor background; padding is 0.
        borders: ``[B, 4]`` float ``x1, y1, x2, y2``, beyond which an image is only padding;
            infinite on a side without any. Padding is no example of background.
    """

    boxes: Tensor
    labels: Tensor
    ignore: Tensor
    borders: Tensor

    def to(self, device: torch.device) -> Targets:
        """The same targets on another device."""
        return self._each(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> Targets:
        """The same targets in page-locked memory, from which a GPU copies without waiting."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Targets:
        return Targets(
            change(self.boxes), change(self.labels), change(self.ignore), change(self.borders)
        )


@dataclass(frozen=True)
class Batch:
    """Images and their targets.

    Attributes:
        images: ``[B, 3, H, W]`` uint8 RGB, channels-last in memory; the height and width may vary
            from batch to batch.
        targets: in pixels of the network input.
        images_2x: ``[B, 3, 2H, 2W]`` uint8 RGB, the same images at twice the size; ``None`` unless
            a teacher needs them.
    """

    images: Tensor
    targets: Targets
    images_2x: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        images_2x = self.images_2x
        return Batch(
            self.images.to(device, non_blocking=True),
            self.targets.to(device),
            None if images_2x is None else images_2x.to(device, non_blocking=True),
        )

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; the data loader calls this by name."""
        images_2x = None if self.images_2x is None else self.images_2x.pin_memory()
        return Batch(self.images.pin_memory(), self.targets.pin_memory(), images_2x)
