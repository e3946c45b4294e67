"""Order and augmentation each depend on the seed, the epoch and the image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sobench.data.batches import training_batches
from sobench.data.dataset import ImageArray
from sobench.suite.input import Augment, Input
from tests.data.training_images import RICH, SIDE, batches, dataset, grey

PLAIN = Augment(hflip=0)


def _order(seed: int, epoch: int) -> list[int]:
    images = batches(dataset([[]] * 12), grey(12), PLAIN, seed=seed, epoch=epoch, batch_size=12)
    return [int(image[0, 0, SIDE // 2]) // 20 for image in images[0].images]


def test_the_order_depends_on_seed_and_epoch() -> None:
    orders = [_order(seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len(set(map(tuple, orders))) == 4


def _of_one_picture(count: int, seed: int, epoch: int) -> list[Tensor]:
    """A picture that fills all images of a data set, as each of them is augmented."""
    picture: ImageArray = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    images = np.stack([picture] * count)
    found = batches(dataset([[]] * count), images, RICH, seed=seed, epoch=epoch, batch_size=1)
    return [batch.images for batch in found]


def test_an_augmentation_depends_on_seed_epoch_and_image() -> None:
    pictures = [
        *_of_one_picture(3, seed=0, epoch=0),
        *_of_one_picture(3, seed=0, epoch=1),
        *_of_one_picture(3, seed=1, epoch=0),
    ]
    for number, one in enumerate(pictures):
        assert not any(torch.equal(one, other) for other in pictures[:number])


def test_each_change_of_colour_has_the_probability_of_the_suite() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8)
    (batch,) = training_batches(
        dataset([[]] * 60, size=(32, 32)), images, Input(size=(32, 32)),
        Augment(hflip=0, photometric=0.1), batch_size=60, seed=0, epoch=0,
    )  # fmt: skip
    originals = {image.tobytes() for image in images}
    seen = [image.permute(1, 2, 0).numpy().tobytes() for image in batch.images]
    unchanged = sum(image in originals for image in seen)
    # 0.9 for each of five or six changes: half of the images, but one in 40 at a half each.
    assert 20 <= unchanged <= 50
