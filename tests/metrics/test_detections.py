from __future__ import annotations

import gzip
import hashlib
import math
import tracemalloc
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from sobench.errors import DataError
from sobench.metrics.detections import DetectionRow, file_digest, tabulate
from tests.metrics.scoring_cases import A, Box, row
from tests.stored_rows import read_rows, write_rows


def random_rows(seed: int) -> list[DetectionRow]:
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(0, 500, (50, 4)).tolist()
    return [row(i % 7, cast(Box, tuple(box)), rng.random(), i % 3) for i, box in enumerate(boxes)]


# --- rows as columns -------------------------------------------------------------------------


def test_columns() -> None:
    table = tabulate([row(7, (1.23456, -0.00001, 3, 4), 0.1234567891), row(8, A, 1, 2)], "rows")
    assert table.image_ids.tolist() == [7, 8]
    assert table.category_ids.tolist() == [1, 2]
    assert table.boxes.tolist() == [[1.235, 0, 3, 4], [10, 10, 20, 20]]
    assert table.scores.tolist() == [0.123456789, 1]


def test_no_rows_have_columns_too() -> None:
    table = tabulate([], "rows")
    assert table.image_ids.shape == table.category_ids.shape == table.scores.shape == (0,)
    assert table.boxes.shape == (0, 4)
    assert table.image_ids.dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_id": "1"}, "image_id '1' is not an integer"),
        ({"image_id": 1.5}, "image_id 1.5 is not an integer"),
        ({"category_id": 2**64}, "is not an integer of 64 bits"),
        ({"category_id": 2**63}, "category_id 9223372036854775808 is not an integer of 64 bits"),
        ({"image_id": -(2**63)}, "image_id -9223372036854775808 is not an integer of 64 bits"),
        ({"category_id": -(2**63)}, "category_id -9223372036854775808 is not an integer of 64"),
        ({"image_id": True}, "image_id True is not an integer"),
        ({"category_id": False}, "category_id False is not an integer"),
        ({"category_id": 1.0}, "category_id 1.0 is not an integer"),
        ({"image_id": None}, "image_id None is not an integer"),
        ({"score": True}, "score True is not a number"),
        ({"score": np.bool_(True)}, "score .*True.* is not a number"),
        ({"score": 10**400}, r"score 1000+\.\.\.0+ is not a number"),
        ({"bbox": [1, 2, True, 4]}, r"bbox \[1, 2, True, 4\] is not four numbers"),
        ({"bbox": [1] * 10**6}, r"bbox \[1, 1, 1, 1, 1, 1, \.\.\.\] is not four numbers"),
        ({"score": math.nan}, "score nan is not finite"),
        ({"score": math.inf}, "score inf is not finite"),
        ({"score": "0.5"}, "score '0.5' is not a number"),
        ({"score": None}, "score None is not a number"),
        ({"bbox": [1, 2, math.nan, 4]}, "is not finite"),
        ({"bbox": [1, 2, 1e308, 4]}, "is not finite"),
        ({"bbox": [5, 5, -1, 4]}, r"bbox \[5, 5, -1, 4\] has a negative width or height"),
        ({"bbox": [1, 2, 3]}, r"bbox \[1, 2, 3\] is not four numbers"),
        ({"bbox": [1, 2, 3, "4"]}, "is not four numbers"),
        ({"bbox": 7}, "bbox 7 is not four numbers"),
    ],
)
def test_bad_rows(changes: dict[str, Any], words: str) -> None:
    bad = cast(DetectionRow, {**row(1, A, 0.5), **changes})
    with pytest.raises(DataError, match=f"detections, row 2 of 3: .*{words}"):
        tabulate([row(1, A, 0.5), bad, row(1, A, 0.5)], "detections")


def test_a_column_of_booleans_alone_is_refused_too() -> None:
    bad = cast(DetectionRow, {**row(1, A, 0.5), "image_id": True})
    with pytest.raises(DataError, match=r"row 1 of 2: image_id True is not an integer"):
        tabulate([bad, bad], "detections")


def test_the_ends_of_64_bits_are_ids() -> None:
    ends = [2**63 - 1, -(2**63) + 1]
    rows = [cast(DetectionRow, {**row(1, A, 0.5), "image_id": end}) for end in ends]
    assert tabulate(rows, "detections").image_ids.tolist() == ends


def test_missing_key() -> None:
    bad = cast(DetectionRow, {"image_id": 1, "category_id": 1, "score": 0.5})
    with pytest.raises(DataError, match=r"row 1 of 1: no 'bbox'; a row is"):
        tabulate([bad], "detections")


# --- the file --------------------------------------------------------------------------------


def test_file_is_byte_identical(tmp_path: Path) -> None:
    rows = random_rows(1)
    paths = [tmp_path / name for name in ("a.json.gz", "b.json.gz", "c.json.gz")]
    write_rows(paths[0], rows)
    write_rows(paths[1], [row(1, A, 0.5)])
    write_rows(paths[1], rows)  # replaces
    write_rows(paths[2], read_rows(paths[0]))
    assert len({path.read_bytes() for path in paths}) == 1
    assert sorted(tmp_path.iterdir()) == paths  # no temporary file stays


def test_file_is_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "detections.json.gz"
    wide = cast(Box, tuple(np.array([1.23456, -0.00001, 3, 4], np.float32)))
    write_rows(path, [row(7, wide, cast(float, np.float32(0.1)), 3)])
    text = gzip.decompress(path.read_bytes()).decode()
    assert text == (
        '[\n{"image_id":7,"category_id":3,"bbox":[1.235, 0.0, 3.0, 4.0],"score":0.100000001}\n]\n'
    )


def test_empty_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "none.json.gz", [])
    assert read_rows(tmp_path / "none.json.gz") == []


def test_bad_rows_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "detections.json.gz"
    write_rows(path, [row(1, A, 0.5)])
    with pytest.raises(DataError, match=r"row 1 of 1: score nan"):
        write_rows(path, [row(1, A, math.nan)])
    assert read_rows(path) == [row(1, A, 0.5)]


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "detections.json.gz"
    write_rows(path, [row(1, A, 0.5)])

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_rows(path, [])
    assert list(tmp_path.iterdir()) == [path]
    assert read_rows(path) == [row(1, A, 0.5)]


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # the same bytes, and names of tests, in every process


PACKED = packed(b'[\n{"image_id":1,"category_id":1,"bbox":[1,2,3,4],"score":0.5}\n]\n')


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PACKED[:-12], "not readable as gzip JSON"),
        (PACKED[:20] + b"\xff" + PACKED[21:], "not readable as gzip JSON"),
        (b"[]", "not readable as gzip JSON"),
        (b"", "not readable as gzip JSON"),
        (packed(b"[{"), "not readable as gzip JSON"),
        (packed(b"\xff"), "not readable as gzip JSON"),
        (packed(b"[" * 100_000), "not readable as gzip JSON"),
        (packed(b"[" + b"1" * 5000 + b"]"), "not readable as gzip JSON"),
        (packed(packed(b"[]")), "not readable as gzip JSON"),
        (packed(b"[" + b" " * 2**24 + b"]"), "bytes unpack to more than 16777216"),
        (packed(b"{}"), "holds a dict, not a list"),
        (packed(b"[3]"), "row 1 of 1: 3 is not an object"),
        (packed(b'[{"image_id":1}]'), "no 'category_id'"),
    ],
)
def test_damaged_file(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "detections.json.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"detections.json.gz.*{words}"):
        read_rows(path)


def test_a_file_with_other_bytes_than_were_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "detections.json.gz"
    digest = write_rows(path, [row(1, A, 0.5)])
    assert digest == file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_rows(path, digest) == [row(1, A, 0.5)]
    write_rows(path, [row(1, A, 0.6)])
    with pytest.raises(DataError, match=r"detections.json.gz: .*its bytes are not those that were"):
        read_rows(path, digest)
    assert file_digest(tmp_path / "gone.json.gz") is None


def test_a_file_that_unpacks_to_far_too_much_takes_little_memory(tmp_path: Path) -> None:
    path, zeros = tmp_path / "bomb.json.gz", bytes(2**20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(zeros)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"bytes unpack to more than \d+\)"):
            read_rows(path)
        assert tracemalloc.get_traced_memory()[1] < 150 * 2**20
    finally:
        tracemalloc.stop()


def test_what_write_rows_wrote_is_read_however_well_it_shrank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sobench.metrics.detections._UNPACKED_BYTES", 10**5)
    path = tmp_path / "same.json.gz"
    digest = write_rows(path, [row(1, A, 0.5)] * 10_000)
    with pytest.raises(DataError, match="unpack to more than"):
        read_rows(path)
    assert len(read_rows(path, digest)) == 10_000


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.json.gz: no such file"):
        read_rows(tmp_path / "gone.json.gz")
