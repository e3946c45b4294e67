from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.sharing import ROWS, Row, differences

LIMIT = 1e-4


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """A dense head, a sampled one, and a batch that is not shared evenly; trained norms in all."""
    rows = [
        Row("fpn", steps=2),
        Row("libra", "faster_rcnn", steps=2),
        Row("refinedet", steps=2, sections={"schedule": {"batch_size": 3}}),
    ]
    for row, found in zip(rows, differences(rows, 2, tmp_path), strict=True):
        assert max(found.values()) < LIMIT, (row, found)


def test_with_divisors_of_their_own_they_do_not(tmp_path: Path) -> None:
    (found,) = differences([Row("fpn", steps=2)], 2, tmp_path, with_counts=False)
    assert min(found.values()) > 100 * LIMIT


@pytest.mark.slow
def test_two_processes_train_every_row_as_one(tmp_path: Path) -> None:
    for row, found in zip(ROWS, differences(ROWS, 2, tmp_path), strict=True):
        assert max(found.values()) < LIMIT, (row, found)
