"""Batches of one orientation: which images share one, in which order, and which are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
import pytest

from sobench.data.batches import steps_per_epoch
from sobench.data.dataset import AnnotatedImage, Size, as_boxes, as_labels
from sobench.data.grouping import inference_groups, training_groups
from sobench.suite.input import Input

SHORTER = Input(size=(64, 96), resize="shorter_side")
FIXED = [Input(size=(64, 96), resize="stretch"), Input(size=(64, 96), resize="letterbox")]
WIDE, TALL, SQUARE = (40, 60), (60, 40), (50, 50)


def images(sizes: Sequence[Size]) -> list[AnnotatedImage]:
    none, no_labels = as_boxes([]), as_labels([])
    return [
        AnnotatedImage(i, f"{i}.png", width, height, none, no_labels, np.zeros(0), none, no_labels)
        for i, (height, width) in enumerate(sizes)
    ]


def mixed(tall: int, others: int) -> list[AnnotatedImage]:
    return images([TALL] * tall + [WIDE, SQUARE] * (others // 2) + [WIDE] * (others % 2))


@pytest.mark.parametrize("settings", FIXED, ids=lambda s: s.resize)
@pytest.mark.parametrize("batch_size", [1, 4, 20])
def test_one_canvas_needs_no_groups(settings: Input, batch_size: int) -> None:
    """The shuffled images in a row, whatever their shape."""
    groups = training_groups(mixed(4, 7), settings, batch_size, seed=3, epoch=2)
    order = np.random.default_rng((3, 2)).permutation(11).tolist()
    length = min(batch_size, 11)
    assert groups == [order[i : i + length] for i in range(0, 11 - length + 1, length)]


@pytest.mark.parametrize(("tall", "others"), [(0, 9), (9, 0), (1, 99), (5, 5), (30, 71), (7, 6)])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 16])
def test_every_batch_is_full_and_all_but_one_have_one_orientation(
    tall: int, others: int, batch_size: int
) -> None:
    for epoch in range(5):
        groups = training_groups(mixed(tall, others), SHORTER, batch_size, seed=0, epoch=epoch)
        assert len(groups) == steps_per_epoch(tall + others, batch_size)
        length = min(batch_size, tall + others)
        assert {len(group) for group in groups} == {length}
        chosen = [index for group in groups for index in group]
        assert len(set(chosen)) == len(chosen)
        assert all(len({index < tall for index in group}) == 1 for group in groups[:-1])


def test_the_images_of_an_epoch_are_those_without_groups() -> None:
    """So a rare orientation is left out no more often than any other image."""
    seen: Counter[int] = Counter()
    for epoch in range(200):
        grouped = training_groups(mixed(1, 18), SHORTER, 4, seed=0, epoch=epoch)
        plain = training_groups(mixed(1, 18), FIXED[0], 4, seed=0, epoch=epoch)
        assert sorted(chain(*grouped)) == sorted(chain(*plain))
        seen.update(chain(*grouped))
    assert all(140 < seen[index] < 195 for index in range(19))  # 168 on average


def test_a_batch_is_given_when_it_is_full() -> None:
    order = np.random.default_rng((0, 0)).permutation(8).tolist()
    by_hand: list[list[int]] = []
    waiting: dict[bool, list[int]] = {True: [], False: []}
    for index in order:
        waiting[index < 3].append(index)
        if len(waiting[index < 3]) == 2:
            by_hand.append(waiting[index < 3])
            waiting[index < 3] = []
    by_hand.append(waiting[False] + waiting[True])  # three tall images and five others
    assert training_groups(mixed(3, 5), SHORTER, 2, seed=0, epoch=0) == by_hand


def test_groups_depend_on_seed_and_epoch_alone() -> None:
    first = training_groups(mixed(20, 30), SHORTER, 4, seed=0, epoch=0)
    assert training_groups(mixed(20, 30), SHORTER, 4, seed=0, epoch=0) == first
    assert training_groups(mixed(20, 30), SHORTER, 4, seed=1, epoch=0) != first
    assert training_groups(mixed(20, 30), SHORTER, 4, seed=0, epoch=1) != first


def test_images_are_tested_with_others_of_the_same_canvas() -> None:
    # Scaled to 64 x 96, 96 x 64, 64 x 64, 64 x 96 (64.0 x 95.0 before rounding up), 19 x 96.
    sizes = [WIDE, TALL, SQUARE, (64, 95), (20, 100), WIDE]
    assert inference_groups(images(sizes), SHORTER, 2) == [
        ([0, 3], (64, 96)), ([5], (64, 96)), ([1], (96, 64)), ([2], (64, 64)), ([4], (32, 96)),
    ]  # fmt: skip


@pytest.mark.parametrize("settings", FIXED, ids=lambda s: s.resize)
def test_one_canvas_is_tested_in_the_order_of_the_dataset(settings: Input) -> None:
    groups = inference_groups(mixed(2, 3), settings, 2)
    assert groups == [([0, 1], (64, 96)), ([2, 3], (64, 96)), ([4], (64, 96))]
