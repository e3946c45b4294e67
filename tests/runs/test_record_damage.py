"""A record that is not as it was written, or not where it was written, never counts."""

from __future__ import annotations

import errno
import json
import random
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sobench.errors import RecordError
from sobench.runs import record
from sobench.runs.record import Epoch
from sobench.suite.plan import Run
from tests.records import record_of
from tests.tiny_suite import tiny_run


def written(tmp_path: Path, run: Run) -> Path:
    """The file of a run's record, with something in each of its parts."""
    history = (Epoch(epoch=1, step=4, losses={"class": 0.5, "total": 0.75}, ap=0.1),)
    folder = run.folder(tmp_path)
    record.write(record_of(run, history=history, digests={"detections.json.gz": "0" * 64}), folder)
    return folder / "record.json"


def flip_bit(text: bytes, choice: random.Random) -> bytes:
    index = choice.randrange(len(text))
    return text[:index] + bytes([text[index] ^ 1 << choice.randrange(8)]) + text[index + 1 :]


def change_digit(text: bytes, choice: random.Random) -> bytes:
    index = choice.choice([i for i, byte in enumerate(text) if chr(byte).isdigit()])
    return text[:index] + b"%d" % choice.randrange(10) + text[index + 1 :]


def delete_line(text: bytes, choice: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    del lines[choice.randrange(len(lines))]
    return b"".join(lines)


def copy_line(text: bytes, choice: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    lines.insert(choice.randrange(len(lines)), choice.choice(lines))
    return b"".join(lines)


def truncate(text: bytes, choice: random.Random) -> bytes:
    return text[: choice.randrange(len(text))]


def zero_page(text: bytes, choice: random.Random) -> bytes:
    start = choice.randrange(len(text))
    return text[:start] + b"\0" * len(text[start : start + 512]) + text[start + 512 :]


HARMS = [flip_bit, change_digit, delete_line, copy_line, truncate, zero_page]


@pytest.mark.parametrize("harm", HARMS)
def test_random_damage_is_told_or_changes_nothing(
    tmp_path: Path, harm: Callable[[bytes, random.Random], bytes]
) -> None:
    path = written(tmp_path, tiny_run())
    text, whole, told = path.read_bytes(), record.read(path.parent), 0
    for seed in range(100):
        path.write_bytes(harm(text, random.Random(seed)))
        message = ""
        try:
            assert record.read(path.parent) == whole, seed
        except RecordError as error:
            told, message = told + 1, str(error)
        assert not message or message.startswith(f"{path}: "), seed
        assert len(message.splitlines()) <= 1, seed
        assert len(message) < 300 + len(str(path)), seed
    assert told == sum(harm(text, random.Random(seed)) != text for seed in range(100)) > 80


def signed(path: Path, **changes: Any) -> None:
    """Change a record as somebody would who makes its digest fit."""
    content = json.loads(path.read_bytes()) | changes
    content.pop("digest")
    body = json.dumps(content).encode().removeprefix(b"{")
    path.write_bytes(b'{\n "digest": "%s",%s' % (sha256(body).hexdigest().encode(), body))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": 1}, "version: schema_version: 1, and this sobench reads 2"),
        ({"schema_version": 99, "seed": "x"}, "schema_version: 99, and this sobench reads 2"),
        ({"status": "fine"}, "not a record of this version: status: "),
        ({"seed": "first"}, "not a record of this version: seed: "),
        ({"scores": {"coco v1 hotcoco": {}}}, "not a record .*: scores.coco v1 hotcoco.protocol: "),
        ({"data": "0123456789ac"}, "contradicts itself"),
        ({"seed": 1}, "contradicts itself"),
        ({"settings": {}}, "contradicts itself"),
        ({"settings_id": "0123456789ab"}, "contradicts itself"),
        ({"method": "ssd"}, "is that of another run, tiny/ssd/s0-"),
        ({"suite": "other"}, "is that of another run, other/fpn/s0-"),
        ({"run_id": "s0-0123456789ab"}, "is that of another run, tiny/fpn/s0-0123456789ab; it was"),
    ],
)
def test_a_record_is_of_this_version_and_agrees_with_itself(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = written(tmp_path, tiny_run())
    signed(path)
    assert record.read(path.parent) is not None
    signed(path, **changes)
    with pytest.raises(RecordError, match=f"^{re.escape(str(path))}: .*{words}"):
        record.read(path.parent)
    assert record.read_sound(path.parent) is None


@pytest.mark.parametrize("other", [tiny_run(seed=1), tiny_run(methods=["ssd"]), tiny_run(name="x")])
def test_a_record_that_was_copied_to_another_run_is_refused(tmp_path: Path, other: Run) -> None:
    path, place = written(tmp_path, tiny_run()), other.folder(tmp_path)
    place.mkdir(parents=True)
    (place / "record.json").write_bytes(path.read_bytes())
    with pytest.raises(RecordError, match=r"is that of another run, tiny/fpn/s0-\w{12}; it was co"):
        record.read(place)


def test_a_record_without_a_digest_is_of_the_version_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text('{"schema_version": 1, "other": "fields"}')
    with pytest.raises(RecordError, match=r"json: the record is of schema version 1, and this sob"):
        record.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b"null", b"1" * 5000, b"[" * 5000, b'{"schema_version": 2}',
     b'{"schema_version": 2, "digest": NaN}', b'{"schema_version": [[[[[[[[[[[[[]]]]]]]]]]]]]}'],
    ids=lambda content: content[:12].decode("latin-1"),
)  # fmt: skip
def test_what_is_not_a_record_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(
        RecordError, match=r"record.json: the record is (damaged|of schema)"
    ) as told:
        record.read(tmp_path)
    assert len(str(told.value)) < 300


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_record_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = written(tmp_path, tiny_run())

    def fails(_: Path) -> bytes:
        raise OSError(number, "the reason")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(RecordError, match=f"^{path}: the record cannot be read \\(the reason\\)$"):
        record.read(path.parent)
