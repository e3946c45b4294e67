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

from sobench.data.dataset import AnnotatedImage, Dataset, FloatArray, ImageArray
from sobench.data.resize import FILL, canvas, place
from sobench.data.targets import Batch, Targets
from sobench.settings import Augment, Input

_LEAST_VISIBLE = 0.25
"""An object of which a crop leaves less than this share becomes an ignore region."""


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
) -> Iterator[Batch]:
    """The batches of one epoch from step ``start`` on; a pure function of its arguments.

    What is left over after full batches waits for the next epoch's shuffling. Each image draws its
    augmentation from its own seed, so neither workers nor a resumption change anything.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(images))
    size = min(batch_size, len(images))
    steps = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    keys = [[(int(i), _image_seed(seed, epoch, int(i))) for i in step] for step in steps[start:]]
    yield from DataLoader(
        _Training(dataset, images, settings, augment),
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
        self, dataset: Dataset, images: ImageArray, settings: Input, augment: Augment
    ) -> None:
        self.dataset = dataset
        self.images = images
        self.settings = settings
        self.size = canvas(settings)
        self.flip = v2.RandomHorizontalFlip(augment.hflip)
        self.jitter, self.cut = augmentation(augment, self.size)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        index, seed = key
        sample = _sample(self.dataset.images[index], self.images[index], self.settings)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            # Padding is added after the flip, to lie right and below as it does in testing.
            sample = self.jitter(_on_canvas(self.flip(sample), self.size))
            whole = _area(sample["boxes"])
            sample = self.cut(sample)
        return _drop_hidden(sample, whole)


def augmentation(settings: Augment, size: tuple[int, int]) -> tuple[v2.Transform, v2.Transform]:
    """What follows the flip: what may scale the image, and what may cut it back or recolour it.

    Scale jitter, then a crop or padding back to ``size``, then photometric distortion.
    """
    scaling: list[v2.Transform] = []
    cutting: list[v2.Transform] = []
    if settings.scale_jitter is not None:
        scaling.append(v2.ScaleJitter(size, scale_range=settings.scale_jitter, antialias=True))
        cutting.append(v2.RandomCrop(size, pad_if_needed=True, fill=FILL))
    if settings.photometric:
        cutting.append(v2.RandomPhotometricDistort(p=settings.photometric))
    return v2.Compose(scaling or [v2.Identity()]), v2.Compose(cutting or [v2.Identity()])


def _sample(record: AnnotatedImage, pixels: ImageArray, settings: Input) -> dict[str, Any]:
    """The image without its padding, with boxes in its pixels."""
    placement = place(settings, record.width, record.height)
    size = (placement.height, placement.width)
    limit = np.array((placement.width, placement.height) * 2)
    content = np.array(pixels[: placement.height, : placement.width])
    return {
        "image": tv_tensors.Image(torch.from_numpy(content).permute(2, 0, 1)),
        "boxes": _boxes(np.clip(placement.to_input(record.boxes), 0, limit), size),
        "ignore": _boxes(np.clip(placement.to_input(record.ignore), 0, limit), size),
        "labels": torch.from_numpy(record.labels.copy()),
    }


def _on_canvas(sample: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    height, width = sample["image"].shape[-2:]
    room = [0, 0, size[1] - width, size[0] - height]
    if not any(room):
        return sample
    fills: dict[str, Any] = {"image": list(FILL), "boxes": 0, "ignore": 0}
    return sample | {
        key: v2.functional.pad(sample[key], room, fill=fill) for key, fill in fills.items()
    }


def _boxes(boxes: FloatArray, size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    return tv_tensors.BoundingBoxes(
        torch.from_numpy(boxes.astype(np.float32)), format="XYXY", canvas_size=size
    )


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).as_subclass(Tensor)


def _drop_hidden(sample: dict[str, Any], whole: Tensor) -> dict[str, Tensor]:
    """Keep what a crop leaves to be seen; objects cut down to a rest become ignore regions."""
    boxes, ignore = sample["boxes"].as_subclass(Tensor), sample["ignore"].as_subclass(Tensor)
    area = _area(boxes)
    kept = (area > 0) & (area >= _LEAST_VISIBLE * whole)
    rest = (area > 0) & ~kept
    return {
        "image": sample["image"].as_subclass(Tensor),
        "boxes": boxes[kept],
        "labels": sample["labels"][kept],
        "ignore": torch.cat((ignore[_area(ignore) > 0], boxes[rest])),
    }


def _collate(samples: list[dict[str, Tensor]]) -> Batch:
    images = torch.stack([s["image"] for s in samples])
    targets = Targets(
        _padded([s["boxes"] for s in samples]),
        _padded([s["labels"] for s in samples], value=-1),
        _padded([s["ignore"] for s in samples], least=0),
    )
    return Batch(images.contiguous(memory_format=torch.channels_last), targets)


def _padded(rows: list[Tensor], value: int = 0, least: int = 1) -> Tensor:
    longest = max([least, *(len(row) for row in rows)])
    out = rows[0].new_full((len(rows), longest, *rows[0].shape[1:]), value)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return out


def _image_seed(seed: int, epoch: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, index)).generate_state(1)[0])
