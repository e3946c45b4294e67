"""Training images in a device's memory: batches are gathered and flipped there.

Only what is drawn for a batch, and its boxes, then travel. Every pixel of a batch is that which the
CPU would have sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sobench.data.dataset import Dataset, ImageArray, Images, Size
from sobench.data.each_image import each_image
from sobench.data.resize import at_double_size, has_one_canvas, on_canvas, resize_geometry
from sobench.data.samples import image_2x_of
from sobench.data.targets import Batch, Targets
from sobench.suite.input import Augment, Input

_SHARE = 0.25
"""Of the memory that is free on a GPU, so much at most may be taken; networks need the rest."""


@dataclass(frozen=True)
class Drawn:
    """A batch without its pixels: which images it has, and which of them are flipped.

    Attributes:
        index: ``[B]`` int64 of the images in their split.
        flipped: ``[B]`` bool.
        targets: of the flipped images.
    """

    index: Tensor
    flipped: Tensor
    targets: Targets

    def pin_memory(self) -> Drawn:
        """The same in page-locked memory; the data loader calls this by name."""
        return Drawn(self.index.pin_memory(), self.flipped.pin_memory(), self.targets.pin_memory())


@dataclass(frozen=True)
class DeviceImages:
    """The images of a split, padded right and below to one canvas.

    Attributes:
        pixels: ``[N, H, W, 3]`` uint8.
        widths: ``[N]`` int64, without the padding.
    """

    pixels: Tensor
    widths: Tensor

    def gather(self, index: Tensor, flipped: Tensor) -> Tensor:
        """``[B, 3, H, W]`` uint8, channels-last in memory; padding stays where it is.

        Args:
            index: ``[B]`` int64; flipped: ``[B]`` bool; both on the device of the images.
        """
        _, height, width, _ = self.pixels.shape
        column = torch.arange(width, device=index.device)
        row = torch.arange(height, device=index.device)
        last = self.widths[index].unsqueeze(1) - 1
        is_mirrored = flipped.unsqueeze(1) & (column <= last)
        source = torch.where(is_mirrored, last - column, column)
        pixels = self.pixels[index[:, None, None], row[:, None], source[:, None, :]]
        return pixels.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Resident:
    """All images that a training reads, on its device.

    Attributes:
        images: at the size of the input.
        images_2x: at twice that size, if a stage of the training asks for them.
    """

    images: DeviceImages
    images_2x: DeviceImages | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return sum(x.pixels.nbytes for x in (self.images, self.images_2x) if x is not None)

    def batch(self, drawn: Drawn, with_2x: bool) -> Batch:
        """The batch that was drawn, on the device."""
        device = self.images.pixels.device
        index, flipped = (x.to(device, non_blocking=True) for x in (drawn.index, drawn.flipped))
        images_2x = self.images_2x.gather(index, flipped) if with_2x and self.images_2x else None
        return Batch(self.images.gather(index, flipped), drawn.targets.to(device), images_2x)


def can_reside(settings: Input, augment: Augment) -> bool:
    """Whether batches can be made on a device: of one size, and of images that are but flipped."""
    is_flipped_alone = augment.scale_jitter is None and not augment.photometric
    return has_one_canvas(settings) and is_flipped_alone


def fits(images: int, settings: Input, with_2x: bool, device: torch.device) -> bool:
    """Whether a GPU has room for so many images, and plenty for the networks."""
    height, width = settings.size
    pixels = height * width * images
    if with_2x:
        pixels += 4 * pixels  # twice the height and twice the width
    free, _ = torch.cuda.mem_get_info(device)
    return 3 * pixels <= _SHARE * free


def reside(
    dataset: Dataset,
    images: Images,
    images_2x: Images | None,
    settings: Input,
    device: torch.device,
) -> Resident:
    """Read every image once, and keep it on the device.

    Args:
        images, images_2x: as of ``training_batches``.

    Raises:
        DataError: an image cannot be read, or is damaged in the cache.
    """
    shown = dataset.images[: len(images)]
    plain = _empty(len(images), settings.size, device)
    doubled = None
    if images_2x is not None:
        doubled = _empty(len(images), at_double_size(settings).size, device)

    def read(index: int) -> None:
        if index >= len(images):
            return
        _put(plain[index], images[index])
        if images_2x is not None and doubled is not None:
            larger = image_2x_of(shown[index], images_2x[index], settings)
            _put(doubled[index], larger.permute(1, 2, 0).numpy())

    with each_image(read, dataset) as done:
        for _ in done:
            pass
    known = [resize_geometry(settings, annotated.size).size[1] for annotated in shown]
    widths = torch.tensor(known, device=device)
    larger = None if doubled is None else DeviceImages(doubled, 2 * widths)
    return Resident(DeviceImages(plain, widths), larger)


def _empty(count: int, canvas: Size, device: torch.device) -> Tensor:
    """``[N, H, W, 3]`` for as many images."""
    return torch.empty(count, *canvas, 3, dtype=torch.uint8, device=device)


def _put(place: Tensor, image: ImageArray) -> None:
    """Pad an image to the canvas of its place, and copy it there."""
    height, width, _ = place.shape
    place.copy_(torch.from_numpy(np.array(on_canvas(image, (height, width)))))
