"""Beyond the cache's limit images are decoded by loaders: slower, and with equal results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sobench.data.cache_folder import cache_folder
from sobench.data.cache_limit import LIMIT
from sobench.data.fingerprint import check_unchanged, fingerprint
from sobench.data.load import load
from sobench.data.pixels import resized_images
from sobench.errors import DataError
from sobench.runs.record import Record
from tests.records import isolate
from tests.runs.image_suite import image_suite
from tests.runs.matrices import Recorder, matrix


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def outcome_of(record: Record) -> tuple[Any, ...]:
    return record.status, record.first_losses, record.history, record.digests, record.scores


def without_cache(recorder: Recorder) -> list[str]:
    """The splits of which the warnings say that they are not cached."""
    return [w.partition(":")[0] for w in recorder.warnings if "an image cache of" in w]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_losses_and_detections_are_equal_with_and_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At varying canvases, with images at twice the size, and prepared by loader processes."""
    suite = image_suite(tmp_path, "efpn", input={"size": [64, 96], "resize": "shorter_side"})
    recorder, cached = matrix(suite, tmp_path / "cached")
    assert not without_cache(recorder)
    for path in cache_folder().glob("*.images"):
        path.unlink()
    monkeypatch.setenv(LIMIT, "0")
    for module in ("train", "detect"):
        monkeypatch.setattr(f"sobench.runs.{module}.loader_workers", lambda *_: 2)
    recorder, decoded = matrix(suite, tmp_path / "decoded")
    # The baseline's two splits, those of efpn itself, and the images at twice the size.
    assert without_cache(recorder) == ["train", "val", "train", "val", "train"]
    assert not list(cache_folder().glob("*.images"))
    for label, record in cached.items():
        assert record.status == "ok"
        assert len(record.first_losses) > 0
        assert outcome_of(decoded[label]) == outcome_of(record)


def test_an_image_that_changes_in_a_training_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, "0")
    suite = image_suite(tmp_path)
    data = fingerprint(suite.dataset)
    dataset = load(suite.dataset, "train")
    images = resized_images(
        dataset, "train", data, suite.input, lambda *_: None, lambda _: None,
        lambda: check_unchanged(suite.dataset, data),
    )  # fmt: skip
    for index in range(3):
        assert images[index].shape == (*suite.input.size, 3)
    path = tmp_path / "data" / "images" / "2.png"
    Image.fromarray(np.zeros((64, 48, 3), np.uint8)).save(path)
    assert len(images[0]) > 0
    with pytest.raises(DataError, match=r"2\.png: has changed since this command began"):
        images[1]
