from __future__ import annotations

from typing import Any

import pytest

from sobench.compare.sides import same_but_version

HERE: dict[str, Any] = {
    "version": 4,
    "method": "fpn",
    "source": "package 1.1",
    "switches": {"depth": 2, "new": True},
    "schedule": {"lr": 0.1, "epochs": 3},
    "requires": {"teacher": "aaaa"},
    "limit": None,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"source": "package 1.0"},
        {"method_version": 2},
        {"version": 3, "requires": {"teacher": "bbbb"}},  # whose hash has the version in it
        {"version": 3, "switches": {"depth": 2}},  # a switch that version 3 did not know
        {"version": 5, "schedule": {"lr": 0.1, "epochs": 3, "later": 1}},
    ],
    ids=str,
)
def test_the_same_run_of_another_version(changes: dict[str, Any]) -> None:
    assert same_but_version(HERE | changes, HERE)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"requires": {"teacher": "bbbb"}},
        {"schedule": {"lr": 0.2, "epochs": 3}},
        {"version": 3, "schedule": {"lr": 0.2, "epochs": 3}},
        {"version": 3, "limit": 5},
        {"version": 3, "init_from": {"weights": "cccc"}},
        {"version": 3, "holdout": 0.2},
        {"version": 3, "requires": {"teacher": "aaaa", "init_from": "bbbb"}},
        {"version": 3, "method": "ssd"},
    ],
    ids=str,
)
def test_another_run(changes: dict[str, Any]) -> None:
    assert not same_but_version(HERE | changes, HERE)
