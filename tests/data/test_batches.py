"""Batches: a pure function of the seed, and boxes that stay on their objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from sobench.data.batches import inference_batches, steps_per_epoch, training_batches
from sobench.data.dataset import AnnotatedImage, Dataset, ImageArray, as_boxes, as_labels
from sobench.data.resize import FILL, at_double_size, resize
from sobench.data.targets import Batch
from sobench.suite.sections import Augment, Input

SIDE = 64
INPUT = Input(size=(SIDE, SIDE))
PLAIN = Augment(hflip=0)
Rows = list[tuple[float, float, float, float]]


def read_nothing(index: int) -> ImageArray:
    raise AssertionError(f"image {index} is read from the cache")


def dataset(
    boxes: Sequence[Rows],
    ignore: Sequence[Rows] | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
) -> Dataset:
    """Images of one width and height; the labels of an image count up from its index."""
    images = []
    for index, rows in enumerate(boxes):
        regions = ignore[index] if ignore else []
        labels = as_labels([index + k for k in range(len(rows))])
        images.append(
            AnnotatedImage(
                index + 1,
                f"{index}.png",
                *size,
                as_boxes(rows),
                labels,
                np.ones(len(rows)),
                as_boxes(regions),
                as_labels([-1] * len(regions)),
            )
        )
    return Dataset("test", tuple("abcdefghij"), tuple(range(1, 11)), tuple(images), read_nothing)


def grey(count: int) -> ImageArray:
    """Image ``i`` is of grey ``20 * i`` with a bright left edge."""
    images = np.zeros((count, SIDE, SIDE, 3), dtype=np.uint8)
    images[:] = (20 * np.arange(count, dtype=np.uint8))[:, None, None, None]
    images[:, :, :4] = 250
    return images


def rectangle(box: tuple[int, int, int, int]) -> ImageArray:
    """A black image with a bright rectangle."""
    image = np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8)
    image[0, box[1] : box[3], box[0] : box[2]] = 255
    return image


def batches(
    data: Dataset, images: ImageArray, augment: Augment = PLAIN, **changes: Any
) -> list[Batch]:
    arguments: dict[str, Any] = {"batch_size": 2, "seed": 0, "epoch": 0}
    found: Iterator[Batch] = training_batches(
        data, images, changes.pop("settings", INPUT), augment, **(arguments | changes)
    )
    return list(found)


def same(a: Batch, b: Batch) -> bool:
    pairs = [(a.images, b.images)]
    pairs += [(getattr(a.targets, k), getattr(b.targets, k)) for k in ("boxes", "labels", "ignore")]
    return all(torch.equal(x, y) for x, y in pairs)


def nine() -> tuple[Dataset, ImageArray]:
    pairs: list[Rows] = [[(8.0 + i, 8, 20.0 + i, 30), (40, 40, 50, 50)] for i in range(9)]
    rows = [pair[: i % 3] for i, pair in enumerate(pairs)]
    return dataset(rows, ignore=[[(0, 60, 10, 64)] if i % 2 else [] for i in range(9)]), grey(9)


RICH = Augment(hflip=0.5, scale_jitter=(0.5, 2.0), photometric=0.5)


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
        found = batches(data, images, batch_size=size)
        assert len(found) == steps_per_epoch(9, size)
        assert {len(batch.images) for batch in found} == {min(size, 9)}


def test_boxes_are_in_pixels_of_the_input_and_end_at_its_edge() -> None:
    data = dataset([[(-4, 10, 32, 150), (120, 20, 140, 40)]], size=(128, 128))
    (batch,) = batches(data, grey(1))
    assert batch.targets.boxes[0].tolist() == [[0, 5, 16, 64], [60, 10, 64, 20]]


def test_boxes_of_a_letterboxed_image_end_at_the_image() -> None:
    settings = Input(size=(SIDE, SIDE), resize="letterbox")
    data = dataset([[(10, 20, 60, 80)]], ignore=[[(0, 40, 128, 90)]], size=(128, 64))
    images = resize(np.zeros((64, 128, 3), dtype=np.uint8), settings)[None]
    (batch,) = batches(data, images, settings=settings)
    assert batch.targets.boxes[0].tolist() == [[5, 10, 30, 32]]
    assert batch.targets.ignore[0].tolist() == [[0, 20, 64, 32]]


def test_a_flip_leaves_the_padding_right_and_below() -> None:
    settings = Input(size=(SIDE, SIDE), resize="letterbox")
    data = dataset([[(10, 20, 60, 80)]], size=(64, 128))
    images = resize(np.zeros((128, 64, 3), dtype=np.uint8), settings)[None]
    (batch,) = batches(data, images, Augment(hflip=1), settings=settings)
    assert batch.targets.boxes[0].tolist() == [[2, 10, 27, 40]]
    assert batch.images[0, :, 0, 31].tolist() == [0, 0, 0]
    assert batch.images[0, :, 0, 32].tolist() == list(FILL)


def test_images_in_inference_come_in_order() -> None:
    found = list(inference_batches(grey(5), 2))
    assert [len(x) for x in found] == [2, 2, 1]
    assert [int(image[0, 0, -1]) for x in found for image in x] == [0, 20, 40, 60, 80]
    assert found[0].shape == (2, 3, SIDE, SIDE)
    assert found[0].is_contiguous(memory_format=torch.channels_last)


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


def seen(found: list[Batch]) -> list[int]:
    """Which images of ``grey`` came, in order."""
    return [int(image[0, 0, SIDE // 2]) // 20 for batch in found for image in batch.images]


def test_epochs_differ_and_hold_every_image_once() -> None:
    data, images = nine()
    orders = [seen(batches(data, images, batch_size=3, epoch=epoch)) for epoch in range(3)]
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_epochs_draw_new_augmentations() -> None:
    data = dataset([[(8, 8, 20, 30)]])
    found = [batches(data, grey(1), RICH, epoch=epoch)[0] for epoch in range(4)]
    assert not any(same(found[0], other) for other in found[1:])


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
    config = batch.pin_memory()
    assert config.images.is_pinned()
    assert config.targets.boxes.is_pinned()
    assert config.images.is_contiguous(memory_format=torch.channels_last)
    assert same(config, batch)


def test_page_locked_large_images_are_equal() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device: memory is locked for its sake")
    data, plain, twice = pictures(WIDE)
    (batch, *_) = batches(data, plain, RICH, settings=WIDE, images_2x=twice)
    (before,), (after,) = images_2x([batch]), images_2x([batch.pin_memory()])
    assert after.is_pinned()
    assert after.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(before, after)


# ------------------------------------------------------------------------ at twice the size too

WIDE = Input(size=(SIDE, 96), resize="letterbox")


def pictures(settings: Input) -> tuple[Dataset, ImageArray, ImageArray]:
    """Nine pictures of noise at the size of the canvas and at twice that."""
    rows: list[Rows] = [[(8.0 + i, 8, 90, 60)] * (i % 3) for i in range(9)]
    data = dataset(rows, ignore=[[(0, 0, 30, 9)]] * 9, size=(150, 90))
    raw = np.random.default_rng(0).integers(0, 256, (9, 90, 150, 3), dtype=np.uint8)
    plain = np.stack([resize(image, settings) for image in raw])
    return data, plain, np.stack([resize(image, at_double_size(settings)) for image in raw])


def images_2x(found: list[Batch]) -> list[torch.Tensor]:
    given = [batch.images_2x for batch in found]
    assert None not in given
    return [tensor for tensor in given if tensor is not None]


@pytest.mark.parametrize("augment", [PLAIN, RICH])
@pytest.mark.parametrize(
    "settings", [INPUT, WIDE, Input(size=(40, 70), resize="shorter_side")], ids=lambda s: s.resize
)
def test_large_images_change_nothing_else(settings: Input, augment: Augment) -> None:
    data, plain, twice = pictures(settings)
    without = batches(data, plain, augment, settings=settings)
    found = batches(data, plain, augment, settings=settings, images_2x=twice)
    assert len(without) == len(found) == 4
    assert all(map(same, without, found))
    assert all(batch.images_2x is None for batch in without)


def test_shape_and_type_of_large_images() -> None:
    data, plain, twice = pictures(WIDE)
    for image in images_2x(batches(data, plain, RICH, settings=WIDE, images_2x=twice)):
        assert image.shape == (2, 3, 2 * SIDE, 192)
        assert image.dtype == torch.uint8
        assert image.is_contiguous(memory_format=torch.channels_last)


def test_a_smaller_doubled_canvas_is_padded_to_twice_the_plain_one() -> None:
    settings = Input(size=(100, 130), resize="shorter_side")
    data, plain, twice = pictures(settings)
    assert (plain.shape[1:3], twice.shape[1:3]) == ((160, 160), (288, 288))
    (image, *_) = images_2x(batches(data, plain, settings=settings, images_2x=twice))
    assert image.shape == (2, 3, 320, 320)
    # 150 x 90 becomes 130 x 78 and 260 x 156.
    mean = torch.tensor(FILL, dtype=torch.uint8)[:, None, None]
    assert (image[:, :, 156:] == mean).all()
    assert (image[:, :, :, 260:] == mean).all()
    order = np.random.default_rng((0, 0)).permutation(9)
    assert np.array_equal(image[0, :, :288, :288].permute(1, 2, 0), twice[order[0]])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_large_images_are_a_pure_function_too() -> None:
    data, plain, twice = pictures(WIDE)
    whole = images_2x(batches(data, plain, RICH, settings=WIDE, images_2x=twice))
    torch.manual_seed(99)
    for changes in ({"start": 0}, {"start": 1}, {"start": 3}, {"workers": 2}):
        found = batches(data, plain, RICH, settings=WIDE, images_2x=twice, **changes)
        tail = whole[changes.get("start", 0) :]
        assert len(found) == len(tail)
        assert all(map(torch.equal, tail, images_2x(found)))
    assert not torch.equal(
        whole[0], images_2x(batches(data, plain, RICH, settings=WIDE, images_2x=twice, epoch=1))[0]
    )


# -------------------------------------------------------------------------------- augmentation


def test_flip_by_hand() -> None:
    data = dataset([[(8, 10, 20, 30), (0, 0, 64, 64)]], ignore=[[(50, 1, 64, 5)]])
    (batch,) = batches(data, grey(1), Augment(hflip=1))
    assert batch.targets.boxes[0].tolist() == [[44, 10, 56, 30], [0, 0, 64, 64]]
    assert batch.targets.ignore[0].tolist() == [[0, 1, 14, 5]]
    assert batch.targets.labels[0].tolist() == [0, 1]
    assert batch.images[0, 0, 0, 0] == 0
    assert (batch.images[0, :, :, -4:] == 250).all()


def test_half_of_the_images_are_flipped() -> None:
    data = dataset([[]] * 12)
    flips = sum(
        int(image[0, 0, -1] == 250)
        for epoch in range(10)
        for batch in batches(data, grey(12), Augment(hflip=0.5), epoch=epoch, batch_size=12)
        for image in batch.images
    )
    assert 40 <= flips <= 80


def test_photometric_distortion_leaves_boxes_alone() -> None:
    data = dataset([[(8, 10, 20, 30)]], ignore=[[(50, 1, 64, 5)]])
    images = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    (plain,) = batches(data, images)
    (distorted,) = batches(data, images, Augment(hflip=0, photometric=1))
    assert not torch.equal(plain.images, distorted.images)
    assert distorted.images.dtype == torch.uint8
    assert torch.equal(plain.targets.boxes, distorted.targets.boxes)
    assert torch.equal(plain.targets.ignore, distorted.targets.ignore)


def bright_extent(image: torch.Tensor) -> list[int] | None:
    """``x1, y1, x2, y2`` of what is brighter than half white, which the padding is not."""
    bright = image.float().mean(dim=0) > 128
    if not bright.any():
        return None
    columns, rows = bright.any(dim=0).nonzero(), bright.any(dim=1).nonzero()
    ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return [int(x) for x in ends]


def test_boxes_stay_on_their_objects() -> None:
    """Flip, scale and crop; an object of which too little is left becomes an ignore region."""
    box = (14, 30, 34, 52)
    data, images = dataset([[box]]), rectangle(box)
    augment = Augment(hflip=0.5, scale_jitter=(0.4, 2.5))
    kept = hidden = cut = gone = 0
    for epoch in range(80):
        (batch,) = batches(data, images, augment, epoch=epoch)
        extent = bright_extent(batch.images[0])
        labels = batch.targets.labels[0].tolist()
        regions = batch.targets.ignore[0].tolist()
        if labels == [0]:
            found = batch.targets.boxes[0, 0].tolist()
            kept += 1
            cut += 0 in found or SIDE in found
            assert regions == []
        elif regions:
            (found,) = regions
            hidden += 1
        else:
            gone += 1
            assert extent is None
            continue
        # A rest thinner than a pixel may be too faint to count as bright.
        if extent is None:
            assert min(found[2] - found[0], found[3] - found[1]) < 1
        else:
            assert found == pytest.approx(extent, abs=1.0)
    assert kept > 40
    assert hidden > 0
    assert cut > 3
    assert gone > 0


@pytest.mark.parametrize(("visible", "kept"), [(0.2, False), (0.3, True)])
def test_a_quarter_of_an_object_must_be_left(visible: float, kept: bool) -> None:
    """Against the crop that was drawn: a wide object is cut to a share of its area."""
    augment = Augment(hflip=0, scale_jitter=(2.0, 2.0))
    (whole,) = batches(dataset([[(0, 0, 64, 64)]]), rectangle((0, 0, 64, 64)), augment)
    assert whole.targets.boxes[0].tolist() == [[0, 0, 64, 64]]  # exactly a quarter stays an object
    (spot,) = batches(dataset([[(31, 31, 33, 33)]]), rectangle((31, 31, 33, 33)), augment)
    left, top = (64 - 2 - spot.targets.boxes[0, 0, :2]).tolist()  # of the crop, doubled
    # An object that begins left of the crop and reaches in by a share of its width.
    right = left / 2 + 4 * visible
    row = (right - 4, top / 2 + 4, right, top / 2 + 8)
    (batch,) = batches(dataset([[row]]), rectangle((0, 0, 64, 64)), augment)
    labels, regions = batch.targets.labels[0].tolist(), batch.targets.ignore[0].tolist()
    assert labels == ([0] if kept else [-1])
    expected = [0, 8, pytest.approx(8 * visible, abs=1e-4), 16]
    assert (batch.targets.boxes[0].tolist() if kept else regions) == [expected]


def test_shrunken_images_are_padded_with_the_mean_colour() -> None:
    data = dataset([[(0, 0, 64, 64)]])
    (batch,) = batches(data, rectangle((0, 0, 64, 64)), Augment(hflip=0, scale_jitter=(0.5, 0.5)))
    x1, y1, x2, y2 = (int(x) for x in batch.targets.boxes[0, 0])
    assert (x2 - x1, y2 - y1) == (32, 32)
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[y1:y2, x1:x2] = True
    assert (batch.images[0][:, inside] == 255).all()
    padding = batch.images[0][:, ~inside].T
    assert torch.equal(padding, torch.tensor(FILL, dtype=torch.uint8).expand_as(padding))
