"""A short form of the fuzz campaigns: some known cases of each, then some drawn by a fixed seed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.campaigns.counts import Counts
from tests.campaigns.fuzz import Fuzz, run_numbers

SEED = 1
SHORT = {
    "fuzz_suites": (7, 20),
    "fuzz_readers": (4, 25),
    "fuzz_images": (2, 40),
    "fuzz_detections": (6, 25),
    "fuzz_foreign": (2, 14),
    "fuzz_plugins": (10, 6),
}
"""Campaign -> every how many of its known cases, and how many drawn ones."""


@pytest.fixture(scope="module")
def fresh() -> Iterator[ProcessPoolExecutor]:
    """A new process: the threads of a scoring engine that another test has used survive no fork."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("name", SHORT)
def test_hostile_input_is_input(name: str, fresh: ProcessPoolExecutor, tmp_path: Path) -> None:
    counts = fresh.submit(short, name, tmp_path).result()
    assert counts.failures == []
    assert counts.cases >= 10
    # Neither refuses everything nor accepts everything, or the cases would prove nothing.
    assert counts.outcomes["accepted"] >= 1
    assert counts.outcomes["refused"] >= 3


def short(name: str, folder: Path) -> Counts:
    """Some cases of a campaign."""
    fuzz: Fuzz = import_module(f"tests.campaigns.{name}").FUZZ
    every, drawn = SHORT[name]
    known = len(fuzz.fixed)
    return run_numbers(fuzz, SEED, [*range(0, known, every), *range(known, known + drawn)], folder)
