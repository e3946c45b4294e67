"""Run -> batches: the same pixels, order and augmentation for every method of one seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from sobench.data.augment import Augmentation
from sobench.data.dataset import AnnotatedImage, Dataset, FloatArray, ImageArray
from sobench.data.resize import ResizeGeometry, at_double_size, input_shape, resize_geometry
from sobench.data.targets import Batch, Targets
from sobench.suite.sections import Augment, Input


def training_batches(
    dataset: Dataset,
    images: ImageArray,
    settings: Input,
    augment: Augment,
    batch_size: int,
    seed: int,
    epoch: int,
    start: int = 0,
    workers: int = 0,
    images_2x: ImageArray | None = None,
) -> Iterator[Batch]:
    """The batches of one epoch from step ``start`` on; a pure function of its arguments.

    What is left over after full batches waits for the next epoch's shuffling. Each image draws its
    augmentation from its own seed, so neither workers nor a resumption change anything.

    Args:
        images: ``[N, H, W, 3]`` uint8, the dataset on the canvas of ``settings``.
        images_2x: ``[N, h, w, 3]`` uint8, the dataset for ``at_double_size(settings)``.
            The batches then carry ``images_2x``, augmented as the images are; all else is bit for
            bit as it is without.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(images))
    size = min(batch_size, len(images))
    steps = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    keys = [[(int(i), _image_seed(seed, epoch, int(i))) for i in step] for step in steps[start:]]
    yield from DataLoader(
        _Training(dataset, images, settings, augment, images_2x),
        batch_sampler=keys,
        collate_fn=_collate,
        num_workers=workers,
        pin_memory=workers > 0 and torch.cuda.is_available(),
        generator=torch.Generator(),  # else each epoch's loader would draw from the global one
    )


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch; at least one."""
    return max(1, images // batch_size)


def inference_batches(images: ImageArray, batch_size: int) -> Iterator[Tensor]:
    """``[B, 3, H, W]`` uint8 in the order of the dataset; the last batch may be smaller."""
    for start in range(0, len(images), batch_size):
        yield torch.from_numpy(np.array(images[start : start + batch_size])).permute(0, 3, 1, 2)


class _Training(TorchDataset[Any]):
    def __init__(
        self,
        dataset: Dataset,
        images: ImageArray,
        settings: Input,
        augment: Augment,
        images_2x: ImageArray | None,
    ) -> None:
        self.dataset = dataset
        self.images = images
        self.settings = settings
        self.augmentation = Augmentation(augment, input_shape(settings))
        self.images_2x = images_2x

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        index, seed = key
        record = self.dataset.images[index]
        sample = _sample(record, self.images[index], self.settings)
        if self.images_2x is not None:
            sample["image_2x"] = _image_2x(
                sample["image"], record, self.images_2x[index], self.settings
            )
        return self.augmentation(sample, seed)


def _sample(record: AnnotatedImage, pixels: ImageArray, settings: Input) -> dict[str, Any]:
    """The image without its padding, with boxes in its pixels."""
    geometry = resize_geometry(settings, record.width, record.height)
    size = (geometry.height, geometry.width)
    limit = np.array((geometry.width, geometry.height) * 2)
    return {
        "image": _content(pixels, geometry),
        "boxes": _boxes(np.clip(geometry.to_input(record.boxes), 0, limit), size),
        "ignore": _boxes(np.clip(geometry.to_input(record.ignore), 0, limit), size),
        "labels": torch.from_numpy(record.labels.copy()),
    }


def _image_2x(
    image: Tensor, record: AnnotatedImage, pixels: ImageArray, settings: Input
) -> tv_tensors.Image:
    """The larger image without its padding, at exactly twice the size of ``image``.

    Each size was rounded on its own, so a side may be a pixel off, which jitter would magnify.
    """
    content = _content(
        pixels, resize_geometry(at_double_size(settings), record.width, record.height)
    )
    return v2.functional.resize(content, [2 * side for side in image.shape[-2:]], antialias=True)


def _content(pixels: ImageArray, geometry: ResizeGeometry) -> tv_tensors.Image:
    content = np.array(pixels[: geometry.height, : geometry.width])
    return tv_tensors.Image(torch.from_numpy(content).permute(2, 0, 1))


def _boxes(boxes: FloatArray, size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    return tv_tensors.BoundingBoxes(
        torch.from_numpy(boxes.astype(np.float32)), format="XYXY", canvas_size=size
    )


def _collate(samples: list[dict[str, Tensor]]) -> Batch:
    targets = Targets(
        _padded([s["boxes"] for s in samples]),
        _padded([s["labels"] for s in samples], value=-1),
        _padded([s["ignore"] for s in samples], least=0),
    )
    images_2x = [s["image_2x"] for s in samples if "image_2x" in s]
    return Batch(
        _stacked([s["image"] for s in samples]), targets, _stacked(images_2x) if images_2x else None
    )


def _stacked(images: list[Tensor]) -> Tensor:
    """Channels-last ``[B, 3, H, W]``, stacked in that order in memory, as most images lie in it."""
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def _padded(rows: list[Tensor], value: int = 0, least: int = 1) -> Tensor:
    longest = max([least, *(len(row) for row in rows)])
    out = rows[0].new_full((len(rows), longest, *rows[0].shape[1:]), value)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return out


def _image_seed(seed: int, epoch: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, index)).generate_state(1)[0])
