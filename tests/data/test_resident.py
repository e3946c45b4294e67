"""Batches that are made on a device are, bit for bit, those that a CPU sends there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sobench.data.batches import training_batches
from sobench.data.dataset import Dataset, ImageArray
from sobench.data.resident import DeviceImages, Drawn, Resident, can_reside, fits, reside
from sobench.data.resize import at_double_size, resize_geometry
from sobench.data.targets import Batch, Targets
from sobench.errors import DataError
from sobench.suite.input import Augment, Input
from tests.data.training_images import dataset
from tests.models.small_config import no_padding
from tests.training.fake_cuda import CUDA, fake_cuda

CPU = torch.device("cpu")
FLIP = Augment(hflip=0.5)
SIZES = [(40, 64), (64, 40), (57, 33), (64, 64), (31, 64), (64, 64), (20, 20)]
"""Of the original images."""

INPUTS = [
    Input(size=(48, 64)),
    Input(size=(48, 64), resize="letterbox"),
    Input(size=(50, 50), resize="letterbox"),
]


def split() -> Dataset:
    """Images of several sizes, with two boxes and a region each."""
    plain = dataset([[(2, 3, 12, 15), (8, 8, 20, 18)]] * len(SIZES), [[(0, 0, 5, 5)]] * len(SIZES))
    images = tuple(
        replace(image, height=height, width=width)
        for image, (height, width) in zip(plain.images, SIZES, strict=True)
    )
    return replace(plain, images=images)


def resized(settings: Input) -> list[ImageArray]:
    """Random pixels of the sizes that the images have in an input, which cannot be changed."""
    generator = np.random.default_rng(0)
    sizes = [resize_geometry(settings, size).size for size in SIZES]
    images = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    for image in images:
        image.flags.writeable = False
    return images


def made(
    settings: Input,
    with_2x: bool,
    on_device: bool,
    device: torch.device = CPU,
    augment: Augment = FLIP,
    **changes: Any,
) -> list[Batch]:
    """All batches of two epochs."""
    data, images = split(), resized(settings)
    images_2x = resized(at_double_size(settings)) if with_2x else None
    kept = reside(data, images, images_2x, settings, device) if on_device else None
    return list(
        training_batches(
            data, images, settings, augment, 2, 3, 0, images_2x=images_2x, epochs=2, resident=kept,
            **changes,
        )
    )  # fmt: skip


def assert_same(mine: list[Batch], theirs: list[Batch]) -> None:
    for one, other in zip(mine, theirs, strict=True):
        assert torch.equal(one.images.cpu(), other.images)
        assert one.images.stride() == other.images.stride()
        assert (one.images_2x is None) == (other.images_2x is None)
        if one.images_2x is not None and other.images_2x is not None:
            assert torch.equal(one.images_2x.cpu(), other.images_2x)
        for key in ("boxes", "labels", "ignore", "borders"):
            assert torch.equal(getattr(one.targets, key).cpu(), getattr(other.targets, key)), key


@pytest.mark.parametrize("settings", INPUTS, ids=str)
@pytest.mark.parametrize("with_2x", [False, True])
def test_they_are_those_of_the_cpu(settings: Input, with_2x: bool) -> None:
    expected = made(settings, with_2x, on_device=False)
    assert_same(made(settings, with_2x, on_device=True), expected)
    plain = made(settings, with_2x, on_device=False, augment=Augment(hflip=0))
    flipped = [
        not torch.equal(one, other)
        for mine, theirs in zip(expected, plain, strict=True)
        for one, other in zip(mine.images, theirs.images, strict=True)
    ]
    assert 0 < sum(flipped) < len(flipped)


def test_loader_processes_and_shares_change_nothing() -> None:
    settings = INPUTS[1]
    expected = made(settings, True, on_device=False)
    assert_same(made(settings, True, on_device=True, workers=2), expected)

    def agree(sizes: Any) -> list[int]:
        return [size + 1 if place > 1 else size for place, size in enumerate(sizes)]

    share: dict[str, Any] = {"rows": slice(1, 2), "agree": agree, "start": 1}
    assert_same(
        made(settings, False, on_device=True, **share),
        made(settings, False, on_device=False, **share),
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_they_are_so_on_a_gpu() -> None:
    cuda = torch.device("cuda")
    for settings in INPUTS:
        assert_same(
            made(settings, True, on_device=True, device=cuda, workers=2),
            made(settings, True, on_device=False),
        )


def test_nothing_waits_for_the_device() -> None:
    with fake_cuda() as log:
        pixels = torch.zeros(5, 48, 64, 3, dtype=torch.uint8, device=CUDA)
        kept = Resident(DeviceImages(pixels, torch.full((5,), 60, device=CUDA)))
        targets = Targets(
            torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1, 4),
            no_padding(2),
        )  # fmt: skip
        drawn = Drawn(torch.tensor([1, 3]), torch.tensor([True, False]), targets)
        batch = kept.batch(drawn, with_2x=False)
        assert batch.images.device == batch.targets.boxes.device == CUDA
        assert batch.images.shape == (2, 3, 48, 64)
    assert log.waits == []


def test_a_damaged_image_is_told_of() -> None:
    class Damaged(list[ImageArray]):
        def __getitem__(self, index: Any) -> Any:
            if index == 4:
                raise DataError("image 4 is damaged")
            return super().__getitem__(index)

    images = Damaged(resized(INPUTS[0]))
    with pytest.raises(DataError, match="image 4 is damaged"):
        reside(split(), images, None, INPUTS[0], CPU)


@pytest.mark.parametrize(
    ("settings", "augment", "can"),
    [
        (Input(size=(32, 32)), Augment(hflip=0), True),
        (Input(size=(32, 32), resize="letterbox"), FLIP, True),
        (Input(size=(32, 48), resize="shorter_side"), FLIP, False),
        (Input(size=(32, 32)), Augment(scale_jitter=(0.5, 2.0)), False),
        (Input(size=(32, 32)), Augment(photometric=0.1), False),
    ],
    ids=str,
)
def test_images_reside_where_they_are_but_flipped(
    settings: Input, augment: Augment, can: bool
) -> None:
    assert can_reside(settings, augment) == can


def test_images_fit_where_they_leave_room(monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_of_images = 100 * 3 * 32 * 32
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (4 * bytes_of_images, 0))
    settings = Input(size=(32, 32))
    assert fits(100, settings, with_2x=False, device=CUDA)
    assert not fits(101, settings, with_2x=False, device=CUDA)
    assert fits(20, settings, with_2x=True, device=CUDA)
    assert not fits(21, settings, with_2x=True, device=CUDA)
