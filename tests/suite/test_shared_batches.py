from __future__ import annotations

import pytest

from sobench.errors import RequestError
from sobench.suite.plan import plan
from sobench.suite.shared_batches import check_batches, sharing_notes
from tests.tiny_suite import tiny_suite

RUNS = plan(tiny_suite(schedule={"batch_size": 4}, methods=["fpn", "zoominnet"]))


def test_batches_that_are_shared_evenly_need_no_words() -> None:
    for processes in (1, 2, 4):
        check_batches(RUNS, processes)
        assert sharing_notes(RUNS, processes) == []


def test_uneven_shares_are_told() -> None:
    (note,) = sharing_notes(RUNS, 3)
    assert "a batch of 4 images gives a process 1 or 2" in note
    check_batches(RUNS, 3)


def test_too_small_batches_are_told_and_refused() -> None:
    (note,) = sharing_notes(RUNS, 5)
    assert "a batch has 4 images, too few for 5 processes; --gpus-per-run 4 is the most" in note
    assert "fpn" in note
    with pytest.raises(RequestError, match="too few for 5 processes"):
        check_batches(RUNS, 5)
