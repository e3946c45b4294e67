"""Digests of files: of their content, taken once, and never believed for another content."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sobench.data import hashes
from sobench.data.cache_folder import cache_folder
from sobench.data.fingerprint import fingerprint
from sobench.data.hashes import NewFiles, file_digests, memory_file
from sobench.errors import DataError
from sobench.suite.datasets import CocoData
from tests.data.small_datasets import coco_at

Hashed = list[str]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Hashed:
    """Notes the names of files whose content is read, and finds every file old enough."""
    names: Hashed = []
    original = hashes._hash

    def noted(path: Path) -> hashes._FileDigest:
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(hashes, "_hash", noted)
    monkeypatch.setattr(hashes, "_SETTLED_NS", -(10**9))
    return names


def digests(
    root: Path, *names: str, trust_mtime: bool = False, same_process: bool = False
) -> list[str]:
    """As another process would get them, which has nothing but the memory, or as this one does."""
    if not same_process:
        hashes._believed.clear()
    paths = [root / name for name in names]
    found = file_digests(paths, coco_at_rest(root), root, trust_mtime=trust_mtime)
    return [found[path] for path in paths]


def coco_at_rest(root: Path) -> CocoData:
    """A section that names files which are there already."""
    return CocoData(format="coco", root=str(root), train="train.json", val="val.json")


def replace(path: Path, content: bytes) -> None:
    """Another content under the same modification time, as a careless tool leaves it."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_digests_are_of_the_content(tmp_path: Path) -> None:
    for name, content in (("a", b"same"), ("b", b"same"), ("c", b"emas"), ("d", b"")):
        (tmp_path / name).write_bytes(content)
    a, b, c, d = digests(tmp_path, "a", "b", "c", "d")
    assert a == b == hashlib.sha256(b"same").hexdigest()
    assert len({a, c, d}) == 3


def test_a_file_is_read_once(tmp_path: Path, hashed: Hashed) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    first = digests(tmp_path, "a")
    assert digests(tmp_path, "a", "b")[:1] == first
    assert digests(tmp_path, "b", "a")[1:] == first
    assert hashed == ["a", "b"]


def edit(path: Path) -> None:
    path.write_bytes(b"new content")


def edit_back(path: Path) -> None:
    replace(path, b"another one")


def put_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"another one")
    state = path.stat()
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [edit, edit_back, put_another])
def test_a_changed_file_of_equal_size_is_seen(
    tmp_path: Path, hashed: Hashed, change: Callable[[Path], None]
) -> None:
    (tmp_path / "a").write_bytes(b"old content")
    (before,) = digests(tmp_path, "a")
    change(tmp_path / "a")
    (after,) = digests(tmp_path, "a")
    assert after == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest() != before
    assert hashed == ["a", "a"]


def test_a_young_file_is_not_remembered(tmp_path: Path) -> None:
    """It may change again within one tick of the clock, under the same times."""
    (tmp_path / "a").write_bytes(b"old content")
    digests(tmp_path, "a")
    assert not memory_file(coco_at_rest(tmp_path), tmp_path).exists()


def test_a_young_file_does_not_grow_old_while_others_are_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old content")
    clock, hash_file = [time.time_ns()], hashes._hash

    def slow(path: Path) -> hashes._FileDigest:
        clock[0] += 10**10
        return hash_file(path)

    monkeypatch.setattr(hashes, "_hash", slow)
    monkeypatch.setattr("sobench.data.hashes.time.time_ns", lambda: clock[0])
    digests(tmp_path, "a")
    assert not memory_file(coco_at_rest(tmp_path), tmp_path).exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "digest", "no json"])
def test_a_damaged_memory_is_dropped(tmp_path: Path, hashed: Hashed, damage: str) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (right,) = digests(tmp_path, "a")
    memory = memory_file(coco_at_rest(tmp_path), tmp_path)
    content = memory.read_bytes()
    wrong = content.replace(right.encode(), b"0" * 64)
    assert wrong != content
    no_json = hashlib.sha256(b"[1]").hexdigest().encode() + b"\n[1]"
    damaged = {
        "flip": wrong, "cut": content[:-9], "empty": b"", "digest": b"0" + content,
        "no json": no_json,
    }  # fmt: skip
    memory.write_bytes(damaged[damage])
    assert digests(tmp_path, "a") == [right]
    assert hashed == ["a", "a"]
    assert memory.read_bytes() == content


def test_a_copy_is_believed_only_when_asked(tmp_path: Path, hashed: Hashed) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    first.mkdir()
    for name in ("a", "b"):
        (first / name).write_bytes(name.encode())
    right = digests(first, "a", "b")
    shutil.copytree(first, copy)  # with its times
    assert digests(copy, "a", "b", trust_mtime=True) == right
    assert hashed == ["a", "b"]
    # Nor are the same files hashed for another question of this process...
    assert digests(copy, "a", "b", same_process=True) == right
    assert hashed == ["a", "b"]
    # ... but what was only believed is not remembered as if it had been read.
    assert digests(copy, "a", "b") == right
    assert hashed == ["a", "b", "a", "b"]


@pytest.mark.usefixtures("hashed")
def test_a_copy_that_changes_after_it_was_believed_is_seen(tmp_path: Path) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    first.mkdir()
    (first / "a").write_bytes(b"old content")
    digests(first, "a")
    shutil.copytree(first, copy)
    (before,) = digests(copy, "a", trust_mtime=True)
    replace(copy / "a", b"new content")
    after = digests(copy, "a", same_process=True)
    assert after == [hashlib.sha256(b"new content").hexdigest()] != [before]


@pytest.mark.usefixtures("hashed")
def test_another_dataset_is_not_taken_for_a_copy(tmp_path: Path) -> None:
    """One file of equal name, size and time is chance; another that differs shows it."""
    for place, contents in (("first", (b"one", b"two")), ("second", (b"eno", b"three"))):
        (tmp_path / place).mkdir()
        for name, content in zip(("a", "b"), contents, strict=True):
            (tmp_path / place / name).write_bytes(content)
            os.utime(tmp_path / place / name, (10, 10))
    digests(tmp_path / "first", "a", "b")
    trusted = digests(tmp_path / "second", "a", "b", trust_mtime=True)
    assert trusted == [hashlib.sha256(content).hexdigest() for content in (b"eno", b"three")]


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link"):
        with pytest.raises(DataError, match=f"{name}: is not a regular file"):
            digests(tmp_path, name)


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("missing", "zero\0byte"):
        with pytest.raises(DataError, match="cannot be read"):
            digests(tmp_path, name)
    (tmp_path / "a").write_bytes(b"content")

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(hashlib, "file_digest", broken)
    with pytest.raises(DataError, match=r"a: cannot be read \(Input/output error\)"):
        digests(tmp_path, "a")


def test_a_memory_that_cannot_be_kept_is_done_without(tmp_path: Path, hashed: Hashed) -> None:
    (tmp_path / "cache").write_text("a file where the cache folder should be")
    (tmp_path / "a").write_bytes(b"content")
    assert digests(tmp_path, "a") == digests(tmp_path, "a")
    assert hashed == ["a", "a"]
    digests(tmp_path, "a", same_process=True)  # as a command does several times
    assert hashed == ["a", "a"]
    replace(tmp_path / "a", b"changed")
    digests(tmp_path, "a", same_process=True)
    assert hashed == ["a", "a", "a"]


def test_progress_counts_the_files_that_are_hashed(tmp_path: Path, hashed: Hashed) -> None:
    spec = coco_at(tmp_path / "data")
    calls: list[tuple[int, int]] = []
    before = fingerprint(spec, on_files=lambda *done: calls.append(done))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert fingerprint(spec, on_files=lambda *done: calls.append(done)) == before
    assert len(calls) == len(hashed) == 4
    assert len(list(cache_folder().glob("*.json"))) == 1


def test_what_was_hashed_before_an_interruption_is_remembered(
    tmp_path: Path, hashed: Hashed
) -> None:
    spec = coco_at(tmp_path / "data")

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fingerprint(spec, on_files=stop)
    hashed.clear()
    hashes._believed.clear()
    fingerprint(spec)
    assert len(hashed) == 2


@pytest.mark.parametrize(
    ("most", "is_too_many"), [((2, 99), False), ((1, 99), True), ((2, 9), True)]
)
def test_more_new_files_than_are_allowed_are_not_read(
    tmp_path: Path, hashed: Hashed, most: tuple[int, int], is_too_many: bool
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"12345")
    paths = [tmp_path / "a", tmp_path / "b"]
    if is_too_many:
        with pytest.raises(NewFiles) as caught:
            file_digests(paths, coco_at_rest(tmp_path), tmp_path, most=most)
        assert (caught.value.count, caught.value.size) == (2, 10)
        assert hashed == []
        digests(tmp_path, "a", "b")
    assert len(file_digests(paths, coco_at_rest(tmp_path), tmp_path, most=most)) == 2
    assert len(hashed) == 2
