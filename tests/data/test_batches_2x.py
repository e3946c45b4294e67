"""Batches with images at twice the size too: nothing else changes, and they are reproducible."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sobench.data.dataset import Dataset, ImageArray
from sobench.data.resize import FILL, at_double_size, resize
from sobench.data.targets import Batch
from sobench.suite.input import Augment, Input
from tests.data.training_images import INPUT, PLAIN, RICH, SIDE, BoxList, batches, dataset, same

WIDE = Input(size=(SIDE, 96), resize="letterbox")


def pictures(settings: Input) -> tuple[Dataset, ImageArray, ImageArray]:
    """Nine pictures of noise, resized for the input and for twice its size."""
    boxes: list[BoxList] = [[(8.0 + i, 8, 90, 60)] * (i % 3) for i in range(9)]
    data = dataset(boxes, ignore=[[(0, 0, 30, 9)]] * 9, size=(90, 150))
    raw = np.random.default_rng(0).integers(0, 256, (9, 90, 150, 3), dtype=np.uint8)
    images = np.stack([resize(image, settings) for image in raw])
    return data, images, np.stack([resize(image, at_double_size(settings)) for image in raw])


def tensors_2x(batch_list: list[Batch]) -> list[torch.Tensor]:
    """``images_2x`` of batches that all have them."""
    tensors = [batch.images_2x for batch in batch_list if batch.images_2x is not None]
    assert len(tensors) == len(batch_list)
    return tensors


@pytest.mark.parametrize("augment", [PLAIN, RICH])
@pytest.mark.parametrize(
    "settings", [INPUT, WIDE, Input(size=(40, 70), resize="shorter_side")], ids=lambda s: s.resize
)
def test_images_2x_change_nothing_else(settings: Input, augment: Augment) -> None:
    data, images, images_2x = pictures(settings)
    without = batches(data, images, augment, settings=settings)
    with_2x = batches(data, images, augment, settings=settings, images_2x=images_2x)
    assert len(without) == len(with_2x) == 4
    assert all(map(same, without, with_2x))
    assert all(batch.images_2x is None for batch in without)


def test_shape_and_type_of_images_2x() -> None:
    data, images, images_2x = pictures(WIDE)
    for image in tensors_2x(batches(data, images, RICH, settings=WIDE, images_2x=images_2x)):
        assert image.shape == (2, 3, 2 * SIDE, 192)
        assert image.dtype == torch.uint8
        assert image.is_contiguous(memory_format=torch.channels_last)


def test_images_2x_are_padded_to_twice_the_canvas_of_the_batch() -> None:
    settings = Input(size=(100, 130), resize="shorter_side")
    data, images, images_2x = pictures(settings)
    assert (images.shape[1:3], images_2x.shape[1:3]) == ((78, 130), (156, 260))
    first, *_ = batches(data, images, settings=settings, images_2x=images_2x)
    (image,) = tensors_2x([first])
    # 150 x 90 becomes 130 x 78 and 260 x 156.
    assert (first.images.shape, image.shape) == ((2, 3, 96, 160), (2, 3, 192, 320))
    mean = torch.tensor(FILL, dtype=torch.uint8)[:, None, None]
    assert (image[:, :, 156:] == mean).all()
    assert (image[:, :, :, 260:] == mean).all()
    order = np.random.default_rng((0, 0)).permutation(9)
    assert np.array_equal(image[0, :, :156, :260].permute(1, 2, 0), images_2x[order[0]])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_images_2x_are_a_pure_function_too() -> None:
    data, images, images_2x = pictures(WIDE)
    whole = tensors_2x(batches(data, images, RICH, settings=WIDE, images_2x=images_2x))
    torch.manual_seed(99)
    for changes in ({"start": 0}, {"start": 1}, {"start": 3}, {"workers": 2}):
        batch_list = batches(data, images, RICH, settings=WIDE, images_2x=images_2x, **changes)
        tail = whole[changes.get("start", 0) :]
        assert len(batch_list) == len(tail)
        assert all(map(torch.equal, tail, tensors_2x(batch_list)))
    assert not torch.equal(
        whole[0],
        tensors_2x(batches(data, images, RICH, settings=WIDE, images_2x=images_2x, epoch=1))[0],
    )


def test_page_locked_images_2x_are_equal() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device: memory is locked for its sake")
    data, images, images_2x = pictures(WIDE)
    (batch, *_) = batches(data, images, RICH, settings=WIDE, images_2x=images_2x)
    (before,), (after,) = tensors_2x([batch]), tensors_2x([batch.pin_memory()])
    assert after.is_pinned()
    assert after.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(before, after)
