from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.sharing import ROWS, Row, differences

LIMIT = 1e-4


def test_two_processes_train_as_one_by_common_divisors(tmp_path: Path) -> None:
    """A dense head and a sampled one, evenly shared and not, with norms that train."""
    rows = [
        Row("fpn", steps=2),
        Row("libra", "faster_rcnn", steps=2, sections={"schedule": {"batch_size": 3}}),
        Row("fpn", steps=1, apart=True),
    ]
    *together, apart = differences(rows, 2, tmp_path)
    for found in together:
        assert max(found.values()) < LIMIT, found
    assert min(apart.values()) > 100 * LIMIT


@pytest.mark.slow
def test_two_processes_train_every_row_as_one(tmp_path: Path) -> None:
    for row, found in zip(ROWS, differences(ROWS, 2, tmp_path), strict=True):
        assert max(found.values()) < LIMIT, (row, found)
