"""Padding of batches: how much there is, where it lies, and that targets know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np
import pytest
import torch
from torch import Tensor

from sobench.data.dataset import Dataset, ImageArray, Size
from sobench.data.resize import FILL, at_double_size, resize, resize_geometry
from sobench.data.targets import Batch
from sobench.suite.input import Augment, Input
from tests.data.training_images import PLAIN, RICH, batches, dataset, same

SHORTER = Input(size=(64, 96), resize="shorter_side")
LETTERBOX = Input(size=(64, 96), resize="letterbox")
MIXED = [(60, 90), (90, 60), (40, 50), (100, 40)] * 5
BLUE = (0, 0, 255)


def pictures(
    sizes: Sequence[Size], settings: Input, double: bool = False
) -> tuple[Dataset, list[ImageArray]]:
    """Blue images of these sizes, with an object in the middle of each."""
    one = [
        dataset([[(width / 4, height / 4, width / 2, height / 2)]], size=(height, width)).images[0]
        for height, width in sizes
    ]
    data = replace(dataset([]), images=tuple(replace(x, id=i) for i, x in enumerate(one)))
    wanted = at_double_size(settings) if double else settings
    blue = [np.full((*size, 3), BLUE, np.uint8) for size in sizes]
    return data, [resize(image, wanted) for image in blue]


def is_padding(images: Tensor) -> Tensor:
    """``[B, H, W]`` bool."""
    return (images == torch.tensor(FILL)[:, None, None]).all(dim=1)


def share(batch_list: Sequence[Batch]) -> float:
    """The share of padding in all pixels of batches."""
    pixels = torch.cat([is_padding(batch.images).flatten() for batch in batch_list])
    return float(pixels.float().mean())


def test_most_of_the_padding_of_mixed_orientations_is_gone() -> None:
    data, images = pictures(MIXED, SHORTER)
    grouped = batches(data, images, settings=SHORTER, batch_size=5)
    assert len(grouped) == 4
    shapes = {tuple(batch.images.shape[2:]) for batch in grouped}
    assert shapes <= {(64, 96), (96, 64)}
    # What it was: the square of 96 that fits all of them.
    areas = [np.prod(resize_geometry(SHORTER, size).size) for size in MIXED]
    before = 1 - np.mean(areas) / 96**2
    assert before == pytest.approx(0.42, abs=0.01)
    assert share(grouped) == pytest.approx(1 - np.mean(areas) / (64 * 96), abs=1e-6)
    assert share(grouped) < 0.15


@pytest.mark.parametrize("augment", [PLAIN, RICH])
def test_a_canvas_is_the_largest_of_the_batch_in_multiples_of_32(augment: Augment) -> None:
    """Without its padding no image could be on a smaller one."""
    data, images = pictures(MIXED, SHORTER)
    plain_colours = augment.model_copy(update={"photometric": 0.0})
    for epoch in range(4):
        for batch in batches(data, images, plain_colours, settings=SHORTER, epoch=epoch):
            height, width = batch.images.shape[2:]
            shown = ~is_padding(batch.images)
            rows, columns = shown.any(dim=2).sum(dim=1), shown.any(dim=1).sum(dim=1)
            assert height == -(-int(rows.max()) // 32) * 32
            assert width == -(-int(columns.max()) // 32) * 32
            # Every image lies in the corner, and its borders are where the padding begins.
            for index, (x1, y1, x2, y2) in enumerate(batch.targets.borders.tolist()):
                assert (x1, y1) == (-inf, -inf)
                assert min(x2, width) == pytest.approx(columns[index])
                assert min(y2, height) == pytest.approx(rows[index])
                assert shown[index, : int(rows[index]), : int(columns[index])].all()


def test_borders_by_hand() -> None:
    data, images = pictures([(60, 90), (60, 60)], SHORTER)
    (batch,) = batches(data, images, settings=SHORTER)
    wide = int(batch.targets.borders[0, 2] == inf)
    assert batch.images.shape == (2, 3, 64, 96)
    assert batch.targets.borders[1 - wide].tolist() == [-inf, -inf, inf, inf]
    assert batch.targets.borders[wide].tolist() == [-inf, -inf, 64, inf]


def test_borders_of_letterboxed_and_stretched_images() -> None:
    for settings, expected in (
        (LETTERBOX, [-inf, -inf, inf, 38]),
        (Input(size=(64, 96)), [-inf, -inf, inf, inf]),
    ):
        data, images = pictures([(40, 100)], settings)
        (batch,) = batches(data, images, Augment(hflip=1), settings=settings)
        assert batch.images.shape == (1, 3, 64, 96)
        assert batch.targets.borders.tolist() == [expected]


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5, 3.0])
def test_borders_follow_jitter_and_crop(factor: float) -> None:
    """On a fixed canvas a shrunken image lies anywhere, and a crop may show padding alone."""
    settings = Input(size=(96, 96), resize="letterbox")
    data, images = pictures([(40, 100)], settings)
    augment = Augment(hflip=0, scale_jitter=(factor, factor))
    seen = set()
    for epoch in range(20):
        (batch,) = batches(data, images, augment, settings=settings, epoch=epoch)
        blue = (batch.images[0, 2] > 180).float()  # else FILL's 104 is nearer
        x1, y1, x2, y2 = batch.targets.borders[0].tolist()
        seen.add((x1, y1, x2, y2))
        inside = torch.zeros(96, 96)
        top, left = (round(max(0, x)) for x in (y1, x1))
        inside[top : round(min(96, y2)), left : round(min(96, x2))] = 1
        assert (blue != inside).sum() <= 96  # a row at most, where resizing blends the edge
    assert len(seen) > 3


@pytest.mark.parametrize("augment", [PLAIN, RICH])
def test_a_resumed_epoch_is_the_tail_of_a_whole_one(augment: Augment) -> None:
    data, images = pictures(MIXED[:-1], SHORTER)
    options = {"settings": SHORTER, "batch_size": 4}
    whole = batches(data, images, augment, **options)
    assert len(whole) == 4
    for start in range(5):
        tail = batches(data, images, augment, start=start, **options)
        assert len(tail) == 4 - start
        assert all(map(same, whole[start:], tail))


def test_groups_are_the_same_for_a_method_that_needs_images_2x() -> None:
    data, images = pictures(MIXED, SHORTER)
    _, images_2x = pictures(MIXED, SHORTER, double=True)
    options = {"settings": SHORTER, "batch_size": 3}
    plain = batches(data, images, RICH, **options)
    with_2x = batches(data, images, RICH, images_2x=images_2x, **options)
    assert len(plain) == 6
    assert all(map(same, plain, with_2x))
    for batch in with_2x:
        assert batch.images_2x is not None
        assert batch.images_2x.shape[2:] == tuple(2 * x for x in batch.images.shape[2:])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_change_nothing() -> None:
    data, images = pictures(MIXED, SHORTER)
    alone = batches(data, images, RICH, settings=SHORTER)
    assert all(map(same, alone, batches(data, images, RICH, settings=SHORTER, workers=2)))
    assert all(b.images.is_contiguous(memory_format=torch.channels_last) for b in alone)
