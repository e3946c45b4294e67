"""Which images share a batch: those that leave little padding, where images keep their shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sobench.data.dataset import AnnotatedImage, Size
from sobench.data.resize import batch_canvas, has_one_canvas, resize_geometry
from sobench.suite.input import Input


def training_groups(
    images: Sequence[AnnotatedImage], settings: Input, batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """The indices of the images of every batch of an epoch; a pure function of its arguments.

    The images are shuffled, and those that do not fill a last batch are left out, so that each has
    the same chance in every epoch. With ``resize: shorter_side`` the others are then dealt out by
    orientation, tall or not, as in torchvision and MMDetection: a batch is given when it is full,
    and what is left of the two orientations, together nothing or one batch, comes last. Every batch
    is full, and their number does not depend on the orientations.
    """
    length = min(batch_size, len(images))
    order = np.random.default_rng((seed, epoch)).permutation(len(images)).tolist()
    by_orientation = not has_one_canvas(settings)
    batches: list[list[int]] = []
    waiting: tuple[list[int], list[int]] = [], []
    for index in order[: len(order) // length * length]:
        height, width = images[index].size
        group = waiting[by_orientation and height > width]
        group.append(index)
        if len(group) == length:
            batches.append(group.copy())
            group.clear()
    mixed = [*waiting[0], *waiting[1]]
    return [*batches, mixed] if mixed else batches


def inference_groups(
    images: Sequence[AnnotatedImage], settings: Input, batch_size: int
) -> list[tuple[list[int], Size]]:
    """The indices of the images of every batch, with the height and width of its canvas.

    An image is padded as if it were alone, and shares a batch only with images that get the same
    canvas, so that no detection depends on the others.
    """
    groups: dict[Size, list[int]] = {}
    for index, image in enumerate(images):
        canvas = batch_canvas(settings, [resize_geometry(settings, image.size).size])
        groups.setdefault(canvas, []).append(index)
    return [
        (group[start : start + batch_size], canvas)
        for canvas, group in groups.items()
        for start in range(0, len(group), batch_size)
    ]
