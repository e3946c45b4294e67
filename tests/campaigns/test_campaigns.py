"""A short form of the campaigns: some cases of each, by fixed seeds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.campaigns import corruption, faults, inputs, kills, processes
from tests.campaigns.place import new_place

CASES = [(corruption, 10), (faults, 5), (kills, 2), (inputs, 6), (processes, 1)]
"""Each with the number of its cases."""


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """One folder for all campaigns, so that they share the matrix that is left alone."""
    folder = new_place()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("campaign", "cases"), CASES, ids=lambda value: value.NAME if _is_campaign(value) else ""
)
def test_every_case_ends_as_it_should(campaign: ModuleType, cases: int, place: Path) -> None:
    parts = [campaign.campaign(seed, 0, place) for seed in range(cases)]
    counts = sum(parts[1:], parts[0])
    assert counts.failures == []
    assert counts.cases == cases
    assert sum(counts.outcomes.values()) >= cases


def _is_campaign(value: object) -> bool:
    return isinstance(value, ModuleType)
