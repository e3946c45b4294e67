"""Counts of a split: the same whether it is read, counted or remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from sobench.data import split_sizes as counting
from sobench.data.annotations import Split
from sobench.data.cache_folder import cache_folder
from sobench.data.fingerprint import fingerprint
from sobench.data.load import load
from sobench.data.split_sizes import read_split_sizes, split_sizes
from sobench.suite.limit import Representative
from tests.data.small_datasets import MAKERS


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_counts_are_those_of_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, split: Split
) -> None:
    spec = MAKERS[name](tmp_path / "set")
    dataset = load(spec, split)
    expected = split_sizes(dataset)
    assert expected.count == len(dataset.images)
    data = fingerprint(spec)
    assert read_split_sizes(spec, split, None, 0, "").images == expected.images
    assert read_split_sizes(spec, split, None, 0, data).images == expected.images
    one = read_split_sizes(spec, split, 1, 0, data)
    assert one == split_sizes(dataset.first(1))
    assert read_split_sizes(spec, split, Representative(1), 0, data).count == 1

    def fail(*_: object) -> None:
        raise AssertionError("the annotations are read again")

    monkeypatch.setattr(counting, "_read", fail)
    assert read_split_sizes(spec, split, 1, 0, data) == one
    # What is damaged does not count.
    for memory in cache_folder().glob("sizes-*.json"):
        memory.write_bytes(memory.read_bytes()[:-1])
    with pytest.raises(AssertionError):
        read_split_sizes(spec, split, 1, 0, data)
