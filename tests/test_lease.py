"""Leases hold folders between machines: those that are not renewed are taken over, by one process.

Other machines are played by holders of another boot; time passes as the tests say.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sobench import lease
from sobench.errors import LeaseLost, RequestError, RunLocked
from sobench.lease import Lease, check_held, take
from sobench.locks import is_locked, locked
from sobench.processes import process


class Clock:
    """Time for the watching and for the holding side."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("sobench.lease.time.monotonic", clock)
    monkeypatch.setattr("sobench.lease._now", clock)
    return clock


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    for own in list(lease._leases.values()):
        own.end()


def elsewhere(**told: Any) -> dict[str, Any]:
    """A holder on another machine."""
    return process(os.getpid()) | {"boot": "another", "seconds": 50, "token": "x", **told}


def write(folder: Path, content: object, number: int = 1) -> Path:
    file = folder / f".lease.{number:06d}"
    file.write_text(json.dumps(content))
    return file


def taken(folder: Path) -> Lease:
    own = take(folder, has_flock=False)
    assert isinstance(own, Lease), own
    return own


def leases(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("key", ["boot", "namespace"])
def test_a_holder_elsewhere_is_followed_when_it_does_not_renew(
    tmp_path: Path, clock: Clock, key: str
) -> None:
    """The number of its process means nothing here, and neither does its clock."""
    told = process(os.getpid()) | {"seconds": 50, "start": "1", key: "another"}
    write(tmp_path, told | {"renewals": 1})
    assert "50 s of waiting" in str(take(tmp_path, has_flock=True))
    clock.now += 49
    assert isinstance(take(tmp_path, has_flock=True), str)
    write(tmp_path, told | {"renewals": 2})
    clock.now += 49
    assert isinstance(take(tmp_path, has_flock=True), str)  # it was renewed meanwhile
    clock.now += 51
    taken(tmp_path)
    assert leases(tmp_path) == [".lease.000002"]


def test_time_stamps_do_not_matter(tmp_path: Path, clock: Clock) -> None:
    file = write(tmp_path, elsewhere())
    for stamp in (0, 10**10):
        os.utime(file, (stamp, stamp))
        assert isinstance(take(tmp_path, has_flock=False), str)
    write(tmp_path, elsewhere(renewals=1))
    os.utime(file, (0, 0))
    clock.now += 51
    assert isinstance(take(tmp_path, has_flock=False), str)


def test_what_one_kernel_locks_is_known_at_once(tmp_path: Path) -> None:
    """Another container of this machine held the lock that this process holds now."""
    write(tmp_path, process(1) | {"namespace": "another", "flock": True})
    assert isinstance(take(tmp_path, has_flock=False), str)
    assert isinstance(take(tmp_path, has_flock=True), Lease)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b'"pid"', b'{"seconds": "x"}'])
def test_what_cannot_be_read_holds_for_the_usual_time(
    tmp_path: Path, clock: Clock, content: bytes
) -> None:
    (tmp_path / ".lease.000001").write_bytes(content)
    assert "120 s" in str(take(tmp_path, has_flock=True))
    clock.now += 119
    assert isinstance(take(tmp_path, has_flock=True), str)
    clock.now += 2
    taken(tmp_path)


def test_a_lease_is_renewed_by_its_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sobench.lease._RENEWALS", 1000)
    own = taken(tmp_path)
    renewed = threading.Event()
    monkeypatch.setattr(own, "_renew", renewed.set)
    assert renewed.wait(30)


def test_a_renewal_changes_the_content_and_not_its_length(tmp_path: Path) -> None:
    own = taken(tmp_path)
    before = own.file.read_bytes()
    own._renew()
    after = own.file.read_bytes()
    assert before != after
    assert len(before) == len(after)


def test_who_was_stopped_for_long_notices_before_it_writes(tmp_path: Path, clock: Clock) -> None:
    with locked(tmp_path):
        check_held(tmp_path)
        clock.now += 500
        check_held(tmp_path)  # nobody else wanted it
        clock.now += 500
        (tmp_path / ".lease.000001").unlink()
        write(tmp_path, elsewhere(), 2)
        with pytest.raises(LeaseLost, match="another took it over, as it was not renewed for 120"):
            check_held(tmp_path)
    assert leases(tmp_path) == [".lease.000002", ".lock"]
    check_held(tmp_path)  # nobody claims to hold it


def test_a_takeover_that_is_not_finished_is_seen(tmp_path: Path, clock: Clock) -> None:
    """The old lease is still there, and its holder wakes up."""
    own = taken(tmp_path)
    write(tmp_path, elsewhere(), 2)
    clock.now += 500
    with pytest.raises(LeaseLost):
        own.check()


def test_who_wakes_up_while_it_is_followed_keeps_it(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, elsewhere())
    assert isinstance(take(tmp_path, has_flock=False), str)
    clock.now += 51
    create = lease._create

    def renewed_meanwhile(file: Path, content: bytes) -> bool:
        write(tmp_path, elsewhere(renewals=7))
        return create(file, content)

    monkeypatch.setattr("sobench.lease._create", renewed_meanwhile)
    assert "has just taken" in str(take(tmp_path, has_flock=False))
    assert leases(tmp_path) == [".lease.000001"]


@pytest.mark.parametrize("then", ["freed", "followed", "first"])
def test_who_comes_late_gives_way(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Between its look at a stale lease and its own, others took the folder, or gave it back."""
    old = write(tmp_path, elsewhere(), 7)
    assert isinstance(take(tmp_path, has_flock=False), str)
    clock.now += 51
    create = lease._create

    def later(file: Path, content: bytes) -> bool:
        old.unlink()
        if then != "freed":
            write(tmp_path, elsewhere(), 9 if then == "followed" else 1)
        return create(file, content)

    monkeypatch.setattr("sobench.lease._create", later)
    assert isinstance(take(tmp_path, has_flock=False), str)
    left = {"freed": [], "followed": [".lease.000009"], "first": [".lease.000001"]}
    assert leases(tmp_path) == left[then]


def test_one_of_many_threads_takes_over(tmp_path: Path, clock: Clock) -> None:
    write(tmp_path, elsewhere())
    assert isinstance(take(tmp_path, has_flock=False), str)
    clock.now += 51
    begin, found = threading.Barrier(8), []

    def work() -> None:
        begin.wait()
        found.append(take(tmp_path, has_flock=False))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Lease) for one in found) == 1
    assert leases(tmp_path) == [".lease.000002"]


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted", str(self), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with locked(tmp_path):
        assert leases(tmp_path) == [".lease.000001", ".lock"]
        assert isinstance(take(tmp_path, has_flock=False), str)


def test_a_lost_answer_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was linked, but the client asked twice and was told that it is there already."""
    link = Path.hardlink_to

    def twice(self: Path, target: Path) -> None:
        link(self, target)
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", twice)
    taken(tmp_path)


def test_a_holder_is_named_in_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process killed while it writes its name would else hold the folder for a while."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt), locked(tmp_path):
            pass
    assert not (tmp_path / ".lease.000001").exists()
    assert len(leases(tmp_path)) == 2
    with locked(tmp_path):  # and tidies up what the other left
        assert leases(tmp_path) == [".lease.000001", ".lock"]


def test_a_lease_that_cannot_be_renewed_is_lost_in_time(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = taken(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        clock.now += 100
        own.check()
        clock.now += 100
        with pytest.raises(LeaseLost, match=r"cannot be renewed \(Input/output error\)"):
            own.check()


def test_readers_do_not_believe_a_very_old_lease(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    file = write(tmp_path, elsewhere())
    assert is_locked(tmp_path)
    os.utime(file, (0, 0))
    assert not is_locked(tmp_path)
    with pytest.raises(RunLocked), locked(tmp_path):  # but who would write must wait
        pass


@pytest.mark.parametrize("text", ["x", "0", "-1", "nan", "inf", "1e9"])
def test_a_wrong_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SOBENCH_LEASE_SECONDS", text)
    with pytest.raises(RequestError, match=f"SOBENCH_LEASE_SECONDS: '{text}' is not a number"):
        take(tmp_path, has_flock=False)


def test_the_time_is_told_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOBENCH_LEASE_SECONDS", "7")
    taken(tmp_path)
    monkeypatch.delenv("SOBENCH_LEASE_SECONDS")
    assert "after 7 s of waiting" in str(take(tmp_path, has_flock=False))
