"""A short form of the campaigns: some cases of each, by fixed seeds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.campaigns.counts import Counts
from tests.campaigns.place import new_place

SHORT = {"corruption": 10, "faults": 5, "kills": 2, "inputs": 6, "processes": 1, "machines": 1}
"""Campaign -> its cases, which take a second or two each."""


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """One folder for all campaigns, so that they share the matrix that is left alone."""
    folder = new_place()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def fresh() -> Iterator[ProcessPoolExecutor]:
    """A new process: the threads of a scoring engine that another test has used survive no fork."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("name", SHORT)
def test_every_case_ends_as_it_should(name: str, fresh: ProcessPoolExecutor, place: Path) -> None:
    counts = fresh.submit(short, name, place).result()
    assert counts.failures == []
    assert counts.cases == SHORT[name]
    assert sum(counts.outcomes.values()) >= SHORT[name]


def short(name: str, place: Path) -> Counts:
    """The first cases of a campaign."""
    campaign = import_module(f"tests.campaigns.{name}").campaign
    parts: list[Counts] = [campaign(seed, 0, place) for seed in range(SHORT[name])]
    return sum(parts[1:], parts[0])
