"""Batches: their shapes and padding, and that they are a pure function of the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sobench.data.batches import inference_batches, steps_per_epoch
from sobench.data.resize import FILL, resize
from sobench.data.targets import Batch
from sobench.suite.input import Augment, Input
from tests.data.training_images import INPUT, RICH, SIDE, batches, dataset, grey, nine, same

# --------------------------------------------------------------------------------- the contract


def test_shapes_types_and_padding() -> None:
    data = dataset([[(1, 2, 3, 4), (5, 6, 7, 8)], []], ignore=[[], [(0, 0, 9, 9)]])
    (batch,) = batches(data, grey(2))
    assert batch.images.shape == (2, 3, SIDE, SIDE)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    first = 0 if batch.targets.labels[0, 0] == 0 else 1
    boxes, labels, ignore = batch.targets.boxes, batch.targets.labels, batch.targets.ignore
    assert (boxes.dtype, labels.dtype, ignore.dtype) == (torch.float32, torch.int64, torch.float32)
    assert boxes[first].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert labels[first].tolist() == [0, 1]
    assert ignore[first].tolist() == [[0, 0, 0, 0]]
    assert boxes[1 - first].tolist() == [[0] * 4] * 2
    assert labels[1 - first].tolist() == [-1, -1]
    assert ignore[1 - first].tolist() == [[0, 0, 9, 9]]


def test_a_batch_without_objects_has_one_row_of_padding() -> None:
    (batch,) = batches(dataset([[], []]), grey(2))
    assert batch.targets.labels.tolist() == [[-1], [-1]]
    assert batch.targets.boxes.shape == (2, 1, 4)
    assert batch.targets.ignore.shape == (2, 0, 4)


def test_steps() -> None:
    assert [steps_per_epoch(n, 4) for n in (1, 3, 4, 7, 8, 9)] == [1, 1, 1, 1, 2, 2]
    data, images = nine()
    for size in (1, 2, 4, 9, 20):
        batch_list = batches(data, images, batch_size=size)
        assert len(batch_list) == steps_per_epoch(9, size)
        assert {len(batch.images) for batch in batch_list} == {min(size, 9)}


def test_boxes_are_in_pixels_of_the_input_and_end_at_its_edge() -> None:
    data = dataset([[(-4, 10, 32, 150), (120, 20, 140, 40)]], size=(128, 128))
    (batch,) = batches(data, grey(1))
    assert batch.targets.boxes[0].tolist() == [[0, 5, 16, 64], [60, 10, 64, 20]]


def test_boxes_of_a_letterboxed_image_end_at_the_image() -> None:
    settings = Input(size=(SIDE, SIDE), resize="letterbox")
    data = dataset([[(10, 20, 60, 80)]], ignore=[[(0, 40, 128, 90)]], size=(64, 128))
    images = resize(np.zeros((64, 128, 3), dtype=np.uint8), settings)[None]
    (batch,) = batches(data, images, settings=settings)
    assert batch.targets.boxes[0].tolist() == [[5, 10, 30, 32]]
    assert batch.targets.ignore[0].tolist() == [[0, 20, 64, 32]]


def test_a_flip_leaves_the_padding_right_and_below() -> None:
    settings = Input(size=(SIDE, SIDE), resize="letterbox")
    data = dataset([[(10, 20, 60, 80)]], size=(128, 64))
    images = resize(np.zeros((128, 64, 3), dtype=np.uint8), settings)[None]
    (batch,) = batches(data, images, Augment(hflip=1), settings=settings)
    assert batch.targets.boxes[0].tolist() == [[2, 10, 27, 40]]
    assert batch.images[0, :, 0, 31].tolist() == [0, 0, 0]
    assert batch.images[0, :, 0, 32].tolist() == list(FILL)


def test_images_in_inference_come_in_order() -> None:
    found = list(inference_batches(dataset([[]] * 5), grey(5), INPUT, 2))
    assert [chosen for chosen, _ in found] == [[0, 1], [2, 3], [4]]
    tensors = [images for _, images in found]
    assert [len(images) for images in tensors] == [2, 2, 1]
    assert [int(image[0, 0, -1]) for images in tensors for image in images] == [0, 20, 40, 60, 80]
    assert tensors[0].shape == (2, 3, SIDE, SIDE)
    assert tensors[0].is_contiguous(memory_format=torch.channels_last)


# ---------------------------------------------------------------------------- a pure function


def test_a_seed_gives_the_same_pixels_in_the_same_order() -> None:
    data, images = nine()
    torch.manual_seed(0)
    first = batches(data, images, RICH)
    torch.manual_seed(99)
    np.random.seed(99)
    again = batches(data, images, RICH)
    assert all(map(same, first, again))
    other = batches(data, images, RICH, seed=1)
    assert not any(map(same, first, other))


def test_the_global_generator_is_left_alone() -> None:
    data, images = nine()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    batches(data, images, RICH)
    assert torch.equal(torch.get_rng_state(), before)


def image_order(batch_list: list[Batch]) -> list[int]:
    """The indices of the images of ``grey`` in batches, in their order."""
    return [int(image[0, 0, SIDE // 2]) // 20 for batch in batch_list for image in batch.images]


def test_epochs_differ_and_hold_every_image_once() -> None:
    data, images = nine()
    orders = [image_order(batches(data, images, batch_size=3, epoch=epoch)) for epoch in range(3)]
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_epochs_draw_new_augmentations() -> None:
    data = dataset([[(8, 8, 20, 30)]])
    first, *others = [batches(data, grey(1), RICH, epoch=epoch)[0] for epoch in range(4)]
    assert not any(same(first, other) for other in others)


@pytest.mark.parametrize("start", [1, 3, 4])
def test_a_resumed_epoch_is_the_tail_of_a_whole_one(start: int) -> None:
    data, images = nine()
    whole = batches(data, images, RICH)
    tail = batches(data, images, RICH, start=start)
    assert len(whole) == 4
    assert len(tail) == 4 - start
    assert all(map(same, whole[start:], tail))


def test_the_batch_size_does_not_change_what_an_image_becomes() -> None:
    data, images = nine()
    ones = batches(data, images, RICH, batch_size=1)
    threes = batches(data, images, RICH, batch_size=3)
    assert torch.equal(torch.cat([b.images for b in ones]), torch.cat([b.images for b in threes]))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_several_epochs_are_those_that_are_asked_for_one_by_one(workers: int) -> None:
    data, images = nine()
    one_by_one = [
        batch
        for epoch, start in ((1, 3), (2, 0), (3, 0))
        for batch in batches(data, images, RICH, epoch=epoch, start=start)
    ]
    together = batches(data, images, RICH, epoch=1, start=3, epochs=3, workers=workers)
    assert len(together) == 1 + 4 + 4
    assert all(map(same, one_by_one, together))


def test_images_in_inference_are_the_same_with_threads() -> None:
    data, images = nine()
    alone = list(inference_batches(data, images, INPUT, 2))
    ahead = list(inference_batches(data, images, INPUT, 2, workers=3))
    assert [chosen for chosen, _ in alone] == [chosen for chosen, _ in ahead]
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(alone, ahead, strict=True))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_change_nothing() -> None:
    data, images = nine()
    alone = batches(data, images, RICH)
    helped = batches(data, images, RICH, workers=2)
    assert len(alone) == len(helped)
    assert all(map(same, alone, helped))
    assert all(b.images.is_contiguous(memory_format=torch.channels_last) for b in helped)


def test_page_locked_batches_are_equal() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device: memory is locked for its sake")
    (batch, *_) = batches(*nine(), RICH)
    pinned = batch.pin_memory()
    assert pinned.images.is_pinned()
    assert pinned.targets.boxes.is_pinned()
    assert pinned.images.is_contiguous(memory_format=torch.channels_last)
    assert same(pinned, batch)
