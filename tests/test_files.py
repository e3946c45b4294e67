from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path

import pytest

from sobench.errors import DiskFull
from sobench.files import (
    atomic_path,
    named_errors,
    remove_orphans,
    temporary_names,
    write_atomic,
)


def test_content_appears_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_atomic(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_success_replaces_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == path.parent
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half of the n")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_failure_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "file.txt"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os if step == "fsync" else Path, step, full)
    with pytest.raises(OSError, match="no space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    flushed: list[bool] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        flushed.append(path.exists())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_atomic(path, b"new")
    assert flushed == [False, True]  # the file, then the folder that names it


def test_a_temporary_name_is_of_one_process_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu/7.example.org" + "x" * 200)
    with atomic_path(tmp_path / "a.json") as one, atomic_path(tmp_path / "a.json") as other:
        assert one != other
        pattern = rf"\.a\.json\.gpu-7-example-org[x]+\.{os.getpid()}\.[0-9a-f]{{8}}\.tmp"
        assert re.fullmatch(pattern, one.name)
        assert temporary_names(tmp_path) == {"a.json"}
    assert temporary_names(tmp_path) == set()


def test_the_file_of_another_process_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two containers with one host name and one process number may draw one random part."""
    draws = iter([b"same", b"same", b"next"])
    monkeypatch.setattr(os, "urandom", lambda count: next(draws)[:count])
    with atomic_path(tmp_path / "a") as one:
        one.write_bytes(b"first")
        write_atomic(tmp_path / "a", b"second")
        assert one.read_bytes() == b"first"
    assert (tmp_path / "a").read_bytes() == b"first"


@pytest.mark.parametrize("name", ["a" * 255, "\u00e4" * 127, "a\nb.json"])
def test_any_name_can_be_written(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_bytes(b"new")
        assert len(temporary_names(tmp_path)) == 1
    assert (tmp_path / name).read_bytes() == b"new"
    (tmp_path / temporary.name).touch()
    remove_orphans(tmp_path, name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


OURS = [".a.json.host.12.0123abcd.tmp", ".a.json.12.tmp", ".b.-.1.00000000.tmp"]
FOREIGN = [
    "a.json",
    ".a.tmp",
    "a.json.host.12.0123abcd.tmp",
    ".a.json.swp",
    ".nfs0001",
    "notes.tmp",
]


def test_orphans_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in OURS + FOREIGN:
        (tmp_path / name).touch()
    assert temporary_names(tmp_path) == {"a.json", "b"}
    remove_orphans(tmp_path, "b")
    assert {path.name for path in tmp_path.iterdir()} == {*OURS[:2], *FOREIGN}
    remove_orphans(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(FOREIGN)
    remove_orphans(tmp_path / "missing")


def test_an_orphan_that_stays_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / OURS[0]).mkdir()
    remove_orphans(tmp_path)


@pytest.mark.parametrize(
    ("number", "what"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the quota is used up")]
)
@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_full_disk_is_said_with_what_is_needed_and_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, what: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    names = {"write": (Path, "write_bytes"), "fsync": (os, "fsync"), "rename": (Path, "replace")}
    monkeypatch.setattr(*names[step], full)
    with pytest.raises(DiskFull) as caught:
        write_atomic(tmp_path / "file", bytes(3 * 2**20))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: {what}: 3 MiB needed, ")
    assert re.search(r"\d+ [KM]iB free; make room, then the same command goes on$", message)
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a disk without room")
    with (
        pytest.raises(DiskFull, match="the disk is full: "),
        atomic_path(tmp_path / "file"),
        open("/dev/full", "wb", buffering=0) as full,  # noqa: PTH123
    ):
        full.write(b"new")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error") as caught:
        write_atomic(tmp_path / "file", b"new")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(tmp_path / "file"))


def test_errors_keep_the_file_that_they_name_unless_it_is_temporary(tmp_path: Path) -> None:
    for name, shown in (("other", "other"), (OURS[0], "a.json")):
        with pytest.raises(PermissionError) as caught, named_errors(tmp_path / "a.json"):
            raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / name))
        assert caught.value.filename == str(tmp_path / shown)


def test_a_folder_that_cannot_be_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems refuse to flush folders; the file is there nevertheless."""
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
