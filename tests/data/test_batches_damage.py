"""Batches of the image cache are those of the images, and its damage reaches the user as it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sobench.data.batches import inference_batches, training_batches
from sobench.data.targets import Batch
from sobench.errors import DataError
from sobench.suite.input import Augment
from tests.data.cached_pictures import INPUT, Images, build, dataset, right
from tests.data.training_images import same

DATA = dataset(Images())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path))
    return tmp_path


def epoch(workers: int) -> list[Batch]:
    images = build()
    return list(training_batches(DATA, images, INPUT, Augment(), 2, 0, 0, workers=workers))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_the_cache_gives_what_an_array_gives(workers: int) -> None:
    array = training_batches(DATA, right(), INPUT, Augment(), 2, 0, 0)
    assert all(map(same, epoch(workers), array))
    images = build()
    pairs = zip(
        inference_batches(DATA, images, INPUT, 2),
        inference_batches(DATA, right(), INPUT, 2),
        strict=True,
    )
    assert all(np.array_equal(one.numpy(), other.numpy()) for (_, one), (_, other) in pairs)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_damage_is_told_in_one_line(folder: Path, workers: int) -> None:
    epoch(0)
    (path,) = folder.glob("*.images")
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    with pytest.raises(DataError) as caught:
        epoch(workers)
    assert str(caught.value) == (
        f"{path}: the image cache is damaged (image 4 is not what was written); "
        "delete this file, it will be built anew"
    )
