from __future__ import annotations

import pytest

from sobench import errors
from sobench.errors import SobenchError, did_you_mean, reason_of


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


class Speechless(BaseException):
    def __str__(self) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.DataError("a.json: no boxes;\nannotate"), "a.json: no boxes; annotate"),
        (errors.RunError("\udcff.pt: damaged"), r"\udcff.pt: damaged"),
        (OSError(5, "Input/output error", "\udcff.pt"), r"\udcff.pt: Input/output error"),
        (RuntimeError("no kernel\nfar away"), "RuntimeError: no kernel"),
        (KeyError("head"), "KeyError: 'head'"),
        (MemoryError(), "MemoryError"),
        (errors.RunError(), "RunError"),
        (ValueError("\x1b[2J"), r"ValueError: \x1b[2J"),
        (Speechless(), "Speechless"),
        (OSError(5, "Input/output error", "log.jsonl"), "log.jsonl: Input/output error"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("odd"), "OSError: odd"),
    ],
)
def test_a_reason_is_one_line(error: BaseException, reason: str) -> None:
    assert reason_of(error) == reason


def test_a_reason_is_short() -> None:
    assert len(reason_of(ValueError("x" * 10**6))) == 300


def test_what_nobody_mistypes_is_not_compared() -> None:
    names = [f"{number:04d}{'x' * 60}" for number in range(5000)]
    text = did_you_mean("x" * 10**6, names)
    assert text.startswith(" known: 0000x")
    assert text.endswith(" and 4950 more")
    assert len(text) < 1100
    assert did_you_mean("a", ["b\x1b", "c" * 10**6]).startswith(r" known: b\x1b, ccc")
    assert did_you_mean(3, ["three"]) == " known: three"
