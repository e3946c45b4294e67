"""Augmentation: boxes stay on their objects, and hidden objects become ignore regions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from sobench.data.augment import Augmentation
from sobench.data.resize import FILL
from sobench.suite.input import Augment
from tests.data.training_images import SIDE, batches, dataset, grey, rectangle


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
    """``x1, y1, x2, y2`` of the pixels brighter than half white, which the padding is not."""
    bright = image.float().mean(dim=0) > 128
    if not bright.any():
        return None
    columns, rows = bright.any(dim=0).nonzero(), bright.any(dim=1).nonzero()
    ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return [int(x) for x in ends]


def test_boxes_stay_on_their_objects() -> None:
    """Flip, scale and crop; an object becomes an ignore region if too little of it is left."""
    box = (14, 30, 34, 52)
    data, images = dataset([[box]]), rectangle(box)
    augment = Augment(hflip=0.5, scale_jitter=(0.4, 2.5))
    visible = hidden = cut = gone = 0
    for epoch in range(80):
        (batch,) = batches(data, images, augment, epoch=epoch)
        extent = bright_extent(batch.images[0])
        labels = batch.targets.labels[0].tolist()
        regions = batch.targets.ignore[0].tolist()
        if labels == [0]:
            remaining = batch.targets.boxes[0, 0].tolist()
            visible += 1
            cut += 0 in remaining or SIDE in remaining
            assert regions == []
        elif regions:
            (remaining,) = regions
            hidden += 1
        else:
            gone += 1
            assert extent is None
            continue
        # A remainder thinner than a pixel may be too faint to count as bright.
        if extent is None:
            assert min(remaining[2] - remaining[0], remaining[3] - remaining[1]) < 1
        else:
            assert remaining == pytest.approx(extent, abs=1.0)
    assert visible > 40
    assert hidden > 0
    assert cut > 3
    assert gone > 0


@pytest.mark.parametrize(("visible", "stays"), [(0.2, False), (0.3, True)])
def test_a_quarter_of_an_object_must_stay_visible(visible: float, stays: bool) -> None:
    """The crop that is drawn cuts a wide object to a share of its area."""
    augment = Augment(hflip=0, scale_jitter=(2.0, 2.0))
    (whole,) = batches(dataset([[(0, 0, 64, 64)]]), rectangle((0, 0, 64, 64)), augment)
    assert whole.targets.boxes[0].tolist() == [[0, 0, 64, 64]]  # exactly a quarter stays an object
    (spot,) = batches(dataset([[(31, 31, 33, 33)]]), rectangle((31, 31, 33, 33)), augment)
    left, top = (64 - 2 - spot.targets.boxes[0, 0, :2]).tolist()  # of the crop, doubled
    # An object that begins left of the crop and reaches in by a share of its width.
    right = left / 2 + 4 * visible
    box = (right - 4, top / 2 + 4, right, top / 2 + 8)
    (batch,) = batches(dataset([[box]]), rectangle((0, 0, 64, 64)), augment)
    labels, regions = batch.targets.labels[0].tolist(), batch.targets.ignore[0].tolist()
    assert labels == ([0] if stays else [-1])
    expected = [0, 8, pytest.approx(8 * visible, abs=1e-4), 16]
    assert (batch.targets.boxes[0].tolist() if stays else regions) == [expected]


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


@pytest.mark.parametrize("size", [(48, 96), (96, 48)])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_an_image_that_is_not_square_is_scaled_by_what_is_drawn(
    size: tuple[int, int], scale: float
) -> None:
    (height, width), box = size, (21.0, 21.0, 27.0, 27.0)
    sample = {
        "image": tv_tensors.Image(torch.zeros(3, height, width, dtype=torch.uint8)),
        "boxes": _boxes([box], size), "ignore": _boxes([], size),
        "labels": torch.zeros(1, dtype=torch.int64),
        "visible": _boxes([(0.0, 0.0, float(width), float(height))], size),
    }  # fmt: skip
    for seed in range(20):
        augmented = Augmentation(Augment(hflip=0, scale_jitter=(scale, scale)), size)(sample, seed)
        assert augmented["image"].shape[-2:] == size
        whole = augmented["boxes"]
        if (
            len(whole)
            and (whole > 0).all()
            and (whole[0, 2:] < torch.tensor([width, height])).all()
        ):
            sides = (whole[0, 2:] - whole[0, :2]).tolist()
            assert sides == pytest.approx([6 * scale] * 2)
            break
    else:
        raise AssertionError("no crop shows the object")


def _boxes(boxes: list[tuple[float, ...]], size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    return tv_tensors.BoundingBoxes(
        torch.tensor(boxes).reshape(-1, 4), format="XYXY", canvas_size=size
    )
