from __future__ import annotations

import pytest

from sobench import errors
from sobench.errors import SobenchError, did_you_mean


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.SobenchError, 1),
        (errors.RequestError, 2),
        (errors.SuiteError, 2),
        (errors.DataError, 2),
        (errors.RunError, 1),
        (errors.Diverged, 1),
        (errors.CheckpointError, 1),
        (errors.NothingToCompare, 4),
    ],
)
def test_exit_codes(kind: type[SobenchError], code: int) -> None:
    assert issubclass(kind, SobenchError)
    assert kind.exit_code == code


def test_a_run_that_diverged_has_failed() -> None:
    assert issubclass(errors.Diverged, errors.RunError)


def test_near_miss_is_named() -> None:
    assert did_you_mean("schedul", ["dataset", "schedule"]) == " did you mean 'schedule'?"


def test_far_miss_lists_the_valid_names() -> None:
    assert did_you_mean("zzz", {"dataset": 1, "schedule": 2}) == " known: dataset, schedule"
