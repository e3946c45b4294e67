"""A GPU keeps the images of a training if it can, and its batches are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from sobench.data import resident, synthetic
from sobench.data.resize import resize
from sobench.models.detector import Stage
from sobench.suite.datasets import SyntheticData
from sobench.suite.input import Augment
from sobench.training import data as training_data
from sobench.training.data import TrainingData
from tests.data.test_resident import assert_same
from tests.tiny_suite import tiny_run

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def data_of_run(**changes: Any) -> TrainingData:
    suite = tiny_run().suite
    assert isinstance(suite.dataset, SyntheticData)
    dataset = synthetic.read(suite.dataset, "train")
    images = np.stack([resize(dataset.read_image(i), suite.input) for i in range(7)])
    return replace(TrainingData(dataset, images, suite.input, suite.augment), **changes)


def batches(data: TrainingData) -> list[Any]:
    return list(data.batches(Stage(), 2, seed=1, epoch=0, start=0, epochs=2))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were kept, each time; the CPU stands for a GPU with room for all."""
    counts: list[int] = []

    def reside(*arguments: Any) -> resident.Resident:
        dataset, images, images_2x, settings, device = arguments
        assert device == CUDA
        counts.append(len(images))
        return resident.reside(dataset, images, images_2x, settings, CPU)

    monkeypatch.setattr(training_data, "reside", reside)
    monkeypatch.setattr(training_data, "fits", lambda *_: True)
    return counts


def test_images_are_kept_from_the_first_batch_on(made: list[int]) -> None:
    plain, kept = data_of_run(), data_of_run(device=CUDA)
    expected = batches(plain)
    assert kept.resident_bytes == 0
    assert_same(batches(kept), expected)
    assert_same(batches(kept), expected)
    assert made == [7]
    assert kept.resident_bytes == 7 * 3 * 64 * 64
    assert plain.resident_bytes == 0


@pytest.mark.parametrize(
    "changed",
    [
        partial(replace, device=CPU),
        partial(replace, augment=Augment(photometric=0.5)),
        partial(replace, augment=Augment(scale_jitter=(0.5, 2))),
    ],
)
def test_other_batches_are_made_on_the_cpu(
    made: list[int], changed: Callable[[TrainingData], TrainingData]
) -> None:
    batches(changed(data_of_run(device=CUDA)))
    assert made == []


def test_images_are_not_kept_where_they_do_not_fit(
    made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_data, "fits", lambda *_: False)
    data = data_of_run(device=CUDA)
    assert_same(batches(data), batches(data_of_run()))
    assert made == []
    assert data.resident_bytes == 0
