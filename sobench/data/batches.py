"""Batches: the same pixels, order and augmentation for every method of one seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from sobench.data.augment import Augmentation
from sobench.data.dataset import AnnotatedImage, Dataset, Images, Size
from sobench.data.grouping import inference_groups, training_groups
from sobench.data.resident import Drawn, Resident
from sobench.data.resize import (
    FILL,
    batch_canvas,
    has_one_canvas,
    on_canvas,
)
from sobench.data.samples import image_2x_of, sample_of
from sobench.data.targets import Batch, Targets
from sobench.errors import DataError
from sobench.suite.input import Augment, Input

Agree = Callable[[Sequence[int]], list[int]]
"""What processes that share a batch make of their sizes."""

_LEAST = {"boxes": 1, "ignore": 0}
"""Places that a batch has for the objects and ignore regions of an image, if it has none."""


def training_batches(
    dataset: Dataset,
    images: Images,
    settings: Input,
    augment: Augment,
    batch_size: int,
    seed: int,
    epoch: int,
    start: int = 0,
    workers: int = 0,
    images_2x: Images | None = None,
    epochs: int = 1,
    rows: slice = slice(None),
    agree: Agree | None = None,
    resident: Resident | None = None,
) -> Iterator[Batch]:
    """The batches of some epochs from step ``start`` of the first on; a pure function.

    ``training_groups`` says which images share a batch; those that do not fill one are left out of
    the epoch, and the next one shuffles anew. Each image draws its augmentation from its own seed,
    so neither workers nor a resumption change anything. The workers go on from one epoch to the
    next without a pause.

    Args:
        dataset: the training split.
        images: ``[h, w, 3]`` uint8 each, its images resized as ``settings`` say.
        settings: size of the network input and kind of resizing.
        augment: the augmentations and their probabilities.
        batch_size: images in a batch; a smaller dataset makes one smaller batch.
        seed: of the run.
        epoch: counts from 0; order and augmentation differ from epoch to epoch.
        start: the first step to give; the steps before it cost nothing.
        workers: processes that prepare batches; 0 prepares them in this one.
        images_2x: ``[h, w, 3]`` uint8 each, the images resized for ``at_double_size(settings)``.
            The batches then carry ``images_2x``, augmented as the images are; everything else is
            bit for bit the same as without.
        epochs: how many to give, one after the other.
        rows: the images of every batch that are asked for, where several processes share it.
        agree: then gives the greatest of every size over all of them, so that all pad alike.
        resident: all images on a device, where the batches are then made; see ``can_reside``.

    Raises:
        DataError: an image cannot be read, or is damaged in the cache.
    """
    shown = dataset.images[: len(images)]
    plan = _Plan(shown, settings, batch_size, seed, epoch, start, epochs, rows)
    pins = workers > 0 and torch.cuda.is_available()
    if resident is None:
        samples = _TrainingSamples(dataset, images, settings, augment, images_2x, seed)
    else:
        samples = _TrainingSamples(dataset, None, settings, augment, None, seed)
    for batch in DataLoader(
        samples,
        batch_sampler=plan,
        # Processes agree here, since a loader's process does not know the others.
        collate_fn=partial(_collate, settings) if agree is None else list,
        num_workers=workers,
        pin_memory=pins and agree is None,
        generator=torch.Generator(),  # else the loader would draw from the global one
    ):
        if agree is not None:
            batch = _collate(settings, batch, agree)
        if isinstance(batch, DataError):
            raise batch
        if pins and agree is not None:
            batch = batch.pin_memory()
        yield batch if resident is None else resident.batch(batch, images_2x is not None)


@dataclass(frozen=True)
class _Plan:
    """Epoch and index of the images of every batch; each epoch is planned when its turn comes."""

    images: Sequence[AnnotatedImage]
    settings: Input
    batch_size: int
    seed: int
    epoch: int
    start: int
    epochs: int
    rows: slice

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self.epoch, self.epoch + self.epochs):
            groups = training_groups(self.images, self.settings, self.batch_size, self.seed, epoch)
            for group in groups[self.start if epoch == self.epoch else 0 :]:
                yield [(epoch, index) for index in group[self.rows]]


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """The number of full batches in an epoch, at least one."""
    return max(1, num_images // batch_size)


def inference_batches(
    dataset: Dataset, images: Images, settings: Input, batch_size: int, workers: int = 0
) -> Iterator[tuple[list[int], Tensor]]:
    """The indices of images, each once, and these images: ``[B, 3, H, W]`` uint8.

    Where every batch has the same canvas the images come in the order of the dataset; otherwise
    they are grouped by canvas, see ``inference_groups``.

    Args:
        workers: threads that prepare batches ahead; 0 prepares each when it is asked for.
    """
    groups = inference_groups(dataset.images[: len(images)], settings, batch_size)

    def prepared(group: list[int], canvas: Size) -> tuple[list[int], Tensor]:
        pixels = np.stack([on_canvas(images[index], canvas) for index in group])
        return group, torch.from_numpy(pixels).permute(0, 3, 1, 2)

    if not workers:
        yield from (prepared(*group) for group in groups)
        return
    waiting: deque[Future[tuple[list[int], Tensor]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for group in groups:
            waiting.append(pool.submit(prepared, *group))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class _TrainingSamples(TorchDataset[Any]):
    """Augmented samples by epoch and index of an image; without ``images`` they have no pixels."""

    def __init__(
        self,
        dataset: Dataset,
        images: Images | None,
        settings: Input,
        augment: Augment,
        images_2x: Images | None,
        seed: int,
    ) -> None:
        self.dataset = dataset
        self.images = images
        self.settings = settings
        canvas = settings.size if has_one_canvas(settings) else None
        self.augmentation = Augmentation(augment, canvas)
        self.images_2x = images_2x
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor] | DataError:
        epoch, index = key
        # Handed on, because what a loader process raises arrives as text with a traceback.
        try:
            return self._augmented(index, _image_seed(self.seed, epoch, index))
        except DataError as error:
            return error

    def _augmented(self, index: int, seed: int) -> dict[str, Tensor]:
        annotated = self.dataset.images[index]
        pixels = self.images[index] if self.images is not None else None
        sample = sample_of(annotated, pixels, self.settings)
        if self.images_2x is not None:
            sample["image_2x"] = image_2x_of(annotated, self.images_2x[index], self.settings)
        augmented = self.augmentation(sample, seed)
        if pixels is None:
            augmented["index"] = torch.tensor(index)
            del augmented["image"]
        return augmented


def _collate(
    settings: Input,
    outcomes: list[dict[str, Tensor] | DataError],
    agree: Agree = list,
) -> Batch | Drawn | DataError:
    samples: list[dict[str, Tensor]] = []
    for outcome in outcomes:
        if isinstance(outcome, DataError):
            return outcome
        samples.append(outcome)
    images = [s["image"] for s in samples if "image" in s]
    canvas = batch_canvas(settings, [(x.shape[1], x.shape[2]) for x in images])
    lengths = (max([least, *(len(s[key]) for s in samples)]) for key, least in _LEAST.items())
    height, width, objects, regions = agree((*canvas, *lengths))
    targets = Targets(
        _pad_and_stack([s["boxes"] for s in samples], objects),
        _pad_and_stack([s["labels"] for s in samples], objects, value=-1),
        _pad_and_stack([s["ignore"] for s in samples], regions),
        _borders(torch.cat([s["visible"] for s in samples]), (height, width)),
    )
    if not images:
        index, flipped = (torch.stack([s[key] for s in samples]) for key in ("index", "flipped"))
        return Drawn(index, flipped, targets)
    images_2x = [s["image_2x"] for s in samples if "image_2x" in s]
    return Batch(
        _padded_images(images, (height, width)),
        targets,
        _padded_images(images_2x, (2 * height, 2 * width)) if images_2x else None,
    )


def _padded_images(images: list[Tensor], canvas: Size) -> Tensor:
    """``[B, 3, H, W]``, padded right and below to the canvas, channels-last in memory."""
    batch = torch.empty(len(images), *canvas, 3, dtype=torch.uint8)
    if any(image.shape[1:] != canvas for image in images):
        batch[:] = torch.tensor(FILL, dtype=torch.uint8)
    # Most of the images have this order in memory already, so that rows are copied whole.
    for pixels, image in zip(batch, images, strict=True):
        pixels[: image.shape[1], : image.shape[2]] = image.permute(1, 2, 0)
    return batch.permute(0, 3, 1, 2)


def _borders(visible: Tensor, canvas: Size) -> Tensor:
    """``Targets.borders`` of images of which ``[B, 4]`` boxes show something, on one canvas."""
    low, high = visible[:, :2], visible[:, 2:]
    end = high.new_tensor((canvas[1], canvas[0]))
    # Scaled edges are not exact; what is left of a pixel is no padding.
    low = torch.where(low < 0.5, -torch.inf, low)
    return torch.cat((low, torch.where(high > end - 0.5, torch.inf, high)), dim=1)


def _pad_and_stack(tensors: list[Tensor], length: int, value: int = 0) -> Tensor:
    """``[B, length, ...]`` from tensors ``[l, ...]`` that are no longer, filled with ``value``."""
    padded = tensors[0].new_full((len(tensors), length, *tensors[0].shape[1:]), value)
    for index, tensor in enumerate(tensors):
        padded[index, : len(tensor)] = tensor
    return padded


def _image_seed(seed: int, epoch: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, index)).generate_state(1)[0])
