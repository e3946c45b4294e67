"""A folder is held by one process, which lets go however it ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sobench.errors import RunLocked
from sobench.locks import is_locked, locked
from sobench.processes import process

NO_FLOCK = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL]

HOLD = """
import os, sys, time
from pathlib import Path
{prepare}
from sobench.locks import locked
with locked(Path(sys.argv[1])):
    {inside}
    print("held", flush=True)
    time.sleep(60)
"""
WITHOUT_FLOCK = """
import errno, fcntl
def refuse(*_): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
"""
# A loader process: it must outlive its parent, so it says its number instead of being waited for.
FORKED = """
    ready, tell = os.pipe()
    if not (child := os.fork()):
        os.write(tell, b"x")  # it runs, so it has let go
        time.sleep(60)
    os.read(ready, 1)
    print(child, flush=True)
"""


@contextmanager
def holder(folder: Path, prepare: str = "", inside: str = "pass") -> Iterator[list[str]]:
    """Another process that holds the folder, killed without mercy; gives what it printed."""
    code = HOLD.format(prepare=prepare, inside=inside.strip())
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    printed: list[str] = []
    try:
        while "held" not in printed:
            line = process.stdout.readline()
            assert line, "the holder ended too soon"
            printed.append(line.strip())
        yield printed
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def install(number: int = errno.ENOLCK) -> None:
        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", refuse)

    return install


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert not is_locked(folder)
    with locked(folder), pytest.raises(RunLocked, match="another sobench"), locked(folder):
        pass
    with locked(folder):
        assert is_locked(folder)
    assert not is_locked(folder)
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    with holder(tmp_path):
        assert is_locked(tmp_path)
    with locked(tmp_path):
        pass


def test_a_forked_process_does_not_hold_what_its_parent_held(tmp_path: Path) -> None:
    with holder(tmp_path, inside=FORKED) as printed:
        pass
    child = int(printed[0])
    try:
        os.kill(child, 0)  # still alive
        assert not is_locked(tmp_path)
        with locked(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_process_leaves_its_parents_lock_alone(tmp_path: Path) -> None:
    read, write = os.pipe()
    with locked(tmp_path):
        child = os.fork()
        if not child:
            try:
                with os.fdopen(write, "w") as stream:
                    stream.write("locked" if is_locked(tmp_path) else "free")
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as stream:
            assert stream.read() == "locked"
        os.waitpid(child, 0)
        assert is_locked(tmp_path)


def test_an_error_in_the_block_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="odd") as caught, locked(tmp_path):
        raise OSError(errno.EIO, "odd")
    assert caught.value.filename is None
    assert not is_locked(tmp_path)


def test_waiting_ends_when_the_folder_is_free(tmp_path: Path) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path):
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    reasons: list[str] = []

    def wait(reason: str) -> None:
        reasons.append(reason)
        release.set()

    with locked(tmp_path, wait):
        assert is_locked(tmp_path)
    thread.join()
    assert reasons
    assert "another sobench" in reasons[0]


def test_a_lock_that_fails_names_its_file(tmp_path: Path, no_flock: Callable[[int], None]) -> None:
    no_flock(errno.EIO)
    with pytest.raises(OSError, match="Input/output error") as caught, locked(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path / ".lock")
    with pytest.raises(OSError, match="Input/output error"):
        is_locked(tmp_path)


@pytest.mark.parametrize("number", NO_FLOCK)
def test_without_flock_a_lease_holds_the_folder(
    tmp_path: Path, no_flock: Callable[[int], None], number: int
) -> None:
    no_flock(number)
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(RunLocked, match=f"process {os.getpid()} on .* without .lease.000001"):
            locked(tmp_path).__enter__()
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("prepare", ["", WITHOUT_FLOCK])
def test_a_dead_process_of_this_machine_is_followed_at_once(tmp_path: Path, prepare: str) -> None:
    with holder(tmp_path, prepare):
        assert is_locked(tmp_path)
        with pytest.raises(RunLocked), locked(tmp_path):
            pass
    assert (tmp_path / ".lease.000001").exists()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert [path.name for path in sorted(tmp_path.iterdir())] == [".lease.000002", ".lock"]
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_without_flock_a_dead_process_is_followed_at_once(
    tmp_path: Path, no_flock: Callable[[int], None]
) -> None:
    no_flock(errno.ENOLCK)
    held = holder(tmp_path, WITHOUT_FLOCK)
    with held, pytest.raises(RunLocked, match=r"without \.lease\.000001"), locked(tmp_path):
        pass
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)


def test_a_killed_process_is_dead_before_its_parent_knows(
    tmp_path: Path, no_flock: Callable[[int], None]
) -> None:
    no_flock(errno.ENOLCK)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        (tmp_path / ".lease.000001").write_text(json.dumps(process(child.pid)))
        with pytest.raises(RunLocked), locked(tmp_path):
            pass
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table
        with locked(tmp_path):
            pass
