from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from sobench.compare import kept_ranks
from sobench.compare.average_rank import AverageRanks, average_ranks
from sobench.compare.kept_ranks import kept_or_new

ROWS, DATASETS = ("a", "b", "c"), ("one", "two", "three", "four")
SCORES = np.array([[0.9, 0.8, 0.7], [0.5, 0.4, 0.3], [0.6, 0.1, 0.2], [0.7, 0.8, 0.1]])


@pytest.fixture
def computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The rows of every computation, with a cache folder of one's own."""
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path))
    calls: list[tuple[str, ...]] = []

    def counted(*asked: tuple[str, ...]) -> AverageRanks:
        calls.append(asked[0])
        return average_ranks(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(kept_ranks, "average_ranks", counted)
    return calls


def test_what_is_kept_is_what_was_computed(computed: list[tuple[str, ...]]) -> None:
    made, kept = (kept_or_new(ROWS, DATASETS, SCORES) for _ in range(2))
    assert computed == [ROWS]
    for name, value in asdict(made).items():
        np.testing.assert_equal(asdict(kept)[name], value, name)
        assert type(getattr(kept, name)) is type(getattr(made, name))


def test_where_all_data_sets_agree_a_statistic_is_infinite(
    computed: list[tuple[str, ...]],
) -> None:
    agreeing = np.array([[3.0, 2.0, 1.0]] * 4)
    made, kept = (kept_or_new(ROWS, DATASETS, agreeing) for _ in range(2))
    assert made.friedman.f == kept.friedman.f == float("inf")
    assert len(computed) == 1


@pytest.mark.parametrize(
    "asked",
    [
        (("a", "b", "d"), DATASETS, SCORES),
        (ROWS, (*DATASETS[:3], "five"), SCORES),
        (ROWS, DATASETS, np.nextafter(SCORES, 1)),
    ],
)
def test_other_names_or_scores_are_computed(
    computed: list[tuple[str, ...]], asked: tuple[tuple[str, ...], tuple[str, ...], np.ndarray]
) -> None:
    kept_or_new(ROWS, DATASETS, SCORES)
    kept_or_new(*asked)
    assert len(computed) == 2


def test_a_damaged_file_is_computed_anew(tmp_path: Path, computed: list[tuple[str, ...]]) -> None:
    kept_or_new(ROWS, DATASETS, SCORES)
    (path,) = (tmp_path / "ranks").iterdir()
    path.write_bytes(path.read_bytes().replace(b"1.25", b"1.26"))
    assert kept_or_new(ROWS, DATASETS, SCORES).average.tolist() == [1.25, 2.0, 2.75]
    assert len(computed) == 2
    assert kept_or_new(ROWS, DATASETS, SCORES).average.tolist() == [1.25, 2.0, 2.75]
    assert len(computed) == 2


def test_a_folder_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[tuple[str, ...]]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert kept_or_new(ROWS, DATASETS, SCORES).rows == ROWS
    assert len(computed) == 2
