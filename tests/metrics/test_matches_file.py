"""The file of matches: what is read is what was written, or a clear error."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from sobench.errors import DataError
from sobench.metrics.matches import Matches
from sobench.metrics.matches_file import (
    is_of,
    read_arrays,
    read_matches,
    write_arrays,
    write_matches,
)
from sobench.suite.protocols import PROTOCOLS
from tests.metrics.scoring_cases import COCO, annotated, dataset_of, match, random_case


@pytest.fixture
def matches() -> Matches:
    return match(*random_case(1), COCO, "digest")


def assert_equal(one: Matches, other: Matches) -> None:
    for field in fields(Matches):
        a, b = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_array_equal(a, b, err_msg=field.name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), field.name


def test_what_is_read_is_what_was_written(tmp_path: Path, matches: Matches) -> None:
    path = tmp_path / "matches.npz"
    write_matches(path, matches)
    assert_equal(read_matches(path), matches)
    before = path.read_bytes()
    write_matches(path, matches)
    assert path.read_bytes() == before
    assert len(before) < 8000


@pytest.mark.parametrize("scale", [1e-9 / 3, 1e3, 1e12, -1.0])
def test_scores_of_any_size_are_kept_to_the_bit(
    tmp_path: Path, matches: Matches, scale: float
) -> None:
    odd = replace(matches, score=matches.score * scale + scale / 7)
    write_matches(tmp_path / "matches.npz", odd)
    assert_equal(read_matches(tmp_path / "matches.npz"), odd)


def test_without_detections_or_images(tmp_path: Path) -> None:
    for dataset in (dataset_of(annotated(1)), dataset_of()):
        empty = match(dataset, [], COCO, "digest")
        write_matches(tmp_path / "matches.npz", empty)
        assert_equal(read_matches(tmp_path / "matches.npz"), empty)


def test_it_is_known_by_the_digest_of_the_detections(tmp_path: Path, matches: Matches) -> None:
    path = tmp_path / "matches.npz"
    assert not is_of(path, "digest")
    write_matches(path, matches)
    assert is_of(path, "digest")
    assert not is_of(path, "another")


def test_damage_anywhere_is_told_and_never_more(tmp_path: Path, matches: Matches) -> None:
    path = tmp_path / "matches.npz"
    write_matches(path, matches)
    sound = path.read_bytes()
    told, rng = [], np.random.default_rng(0)
    for position in rng.integers(0, len(sound), 150).tolist():
        damaged = bytearray(sound)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:  # some bytes of a ZIP, such as times, mean nothing
            assert_equal(read_matches(path), matches)
        except DataError as error:
            told.append(str(error))
    assert len(told) > 100
    assert all("delete it, and the next sobench run makes it again" in text for text in told)
    for size in (0, 1, 100, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:size])
        with pytest.raises(DataError, match="the matches are not readable"):
            read_matches(path)
        assert not is_of(path, "digest")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("image", lambda x: x + 200),
        ("image", lambda x: x[1:]),
        ("true", lambda x: x[:-1]),
        ("ignored", lambda x: x | 255),
        ("found", lambda x: x.astype(np.int64) + 10**6),
        ("num_objects", lambda x: x.reshape(-1)[1:]),
        ("of_class", lambda x: x + 1),
        ("object_label", lambda x: x + 9),
        ("object_area", lambda x: x[:-1]),
        ("head", lambda x: x[1:]),
        ("head", lambda _: np.frombuffer(b"[]", np.uint8)),
    ],
)
def test_arrays_that_do_not_fit_together(
    tmp_path: Path, matches: Matches, name: str, change: np.ufunc
) -> None:
    path = tmp_path / "matches.npz"
    write_matches(path, matches)
    arrays = read_arrays(path)
    write_arrays(path, arrays | {name: change(arrays[name])})
    with pytest.raises(DataError, match="the matches are not readable"):
        read_matches(path)


def test_another_version_of_the_protocol(
    tmp_path: Path, matches: Matches, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "matches.npz"
    write_matches(path, matches)
    monkeypatch.setitem(PROTOCOLS, "coco", replace(COCO, version=2))
    with pytest.raises(DataError, match="protocol coco v1 is not the present"):
        read_matches(path)
    assert not is_of(path, "digest")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; sobench run makes it"):
        read_matches(tmp_path / "matches.npz")
