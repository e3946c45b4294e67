"""Sizes of training boxes in the network input, and the colour around the images there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sobench.data.dataset import Dataset
from sobench.data.resize import FILL, box_wh
from sobench.models.detector import IMAGENET_MEAN, IMAGENET_STD
from sobench.suite.input import Augment, Input
from tests.data.training_images import SIDE, batches, dataset, rectangle


def _two_images() -> Dataset:
    wide = dataset([[(0, 0, 40, 10), (100, 20, 120, 70)]], size=(100, 200))
    high = dataset([[(5, 5, 25, 35)]], size=(400, 100))
    return Dataset("test", ("a",), (1,), wide.images + high.images, lambda _: rectangle((0,) * 4))


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("stretch", [(20, 10), (10, 50), (20, 7.5)]),
        ("letterbox", [(20, 5), (10, 25), (5, 7.5)]),
        ("shorter_side", [(20, 5), (10, 25), (5, 7.5)]),
    ],
)
def test_width_and_height_of_all_boxes(resize: str, expected: list[tuple[float, float]]) -> None:
    settings = Input.model_validate({"size": [100, 100], "resize": resize})
    sizes = box_wh(_two_images(), settings)
    assert sizes is not None
    np.testing.assert_allclose(sizes, expected)


def test_no_boxes_have_no_sizes() -> None:
    assert box_wh(dataset([[], []]), Input(size=(64, 64))) is None


def test_padding_is_the_colour_that_normalisation_turns_to_nothing() -> None:
    for fill, mean, std in zip(FILL, IMAGENET_MEAN, IMAGENET_STD, strict=True):
        assert abs(fill - mean) / std < 0.01


def test_networks_see_pixels_as_their_weights_were_trained() -> None:
    from torchvision.models import ResNet18_Weights

    transform = ResNet18_Weights.IMAGENET1K_V1.transforms()
    np.testing.assert_allclose(np.array(transform.mean) * 255, IMAGENET_MEAN)
    np.testing.assert_allclose(np.array(transform.std) * 255, IMAGENET_STD)


def test_jitter_averages_pixels_where_it_shrinks() -> None:
    stripes = np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8)
    stripes[:, :, ::4] = 240
    augment = Augment(hflip=0, scale_jitter=(0.25, 0.25))
    (batch,) = batches(dataset([[(0, 0, 64, 64)]]), stripes, augment)
    x1, y1, x2, y2 = (int(x) for x in batch.targets.boxes[0, 0])
    assert (x2 - x1, y2 - y1) == (16, 16)
    inside = batch.images[0, :, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].to(torch.float32)
    assert (inside - 60).abs().max() < 15
