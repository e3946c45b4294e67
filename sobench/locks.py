"""Folders that one process holds at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sobench.errors import RunLocked
from sobench.files import named_errors, new_temporary

_LOCK, _OWNER, _TAKEOVER = ".lock", ".lock.owner", ".lock.takeover"
_NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_ATTEMPTS, _PAUSE, _WAIT_PAUSE = 10, 0.01, 0.2

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


@contextmanager
def locked(folder: Path, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a folder for this process; the system lets go when the process ends, however it ends.

    Processes that it forks do not hold the folder. Where the file system has no locks, a file names
    the owner; one that a dead process left on this machine is taken over.

    Args:
        folder: made if it is missing.
        wait: wait until the folder is free, and call this with the reason before every pause.

    Raises:
        RunLocked: another process holds it, and ``wait`` is not given.
    """
    with named_errors(folder / _LOCK):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _held.add(descriptor)
    try:
        with named_errors(folder / _LOCK):
            _acquire(descriptor, folder, wait)
        try:
            yield
        finally:
            owner = _read_owner(folder / _OWNER)
            if owner is not None and owner == _process(os.getpid()):
                with suppress(OSError):
                    (folder / _OWNER).unlink()
    finally:
        # In a forked process it is closed already, and the number may be another file's.
        if descriptor in _held:
            _held.discard(descriptor)
            os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder; changes nothing in it."""
    with named_errors(folder / _LOCK):
        try:
            with (folder / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
    return _living_owner(folder / _OWNER) is not None


def _acquire(descriptor: int, folder: Path, wait: Callable[[str], None] | None) -> None:
    attempts = 0
    while (problem := _try_lock(descriptor, folder)) is not None:
        # ``is_locked`` of another process holds it for a moment, which must not fail a run.
        attempts += 1
        if attempts < _ATTEMPTS:
            time.sleep(_PAUSE)
        elif wait is None:
            raise RunLocked(problem)
        else:
            wait(problem)
            time.sleep(_WAIT_PAUSE)


def _try_lock(descriptor: int, folder: Path) -> str | None:
    """Take the lock, or say who has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"{folder}: another sobench process holds this folder"
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        return _try_own(folder)
    # A machine that has no locks may hold it all the same.
    return _living_owner(folder / _OWNER)


def _try_own(folder: Path) -> str | None:
    """Write the file that names the owner, or say who has written it."""
    owner, takeover = folder / _OWNER, folder / _TAKEOVER
    if _write_owner(owner):
        return None
    problem = _living_owner(owner)
    if problem is not None:
        return problem
    # Only one may take over, or the second would delete what the first has just written.
    if not _write_owner(takeover):
        problem = _living_owner(takeover)
        if problem is None:
            takeover.unlink(missing_ok=True)  # of a process that was killed at this; try again
        return problem or _held_by(takeover, "another process")
    try:
        if _living_owner(owner) is None:
            owner.unlink(missing_ok=True)
        return None if _write_owner(owner) else _held_by(owner, "another process")
    finally:
        takeover.unlink()


def _write_owner(file: Path) -> bool:
    """Whether the file is now of this process; it appears with its content, or not at all."""
    temporary = new_temporary(file)
    try:
        temporary.write_text(json.dumps(_process(os.getpid())))
        file.hardlink_to(temporary)
    except (FileExistsError, FileNotFoundError):  # the latter if the owner tidied its folder
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _read_owner(file: Path) -> dict[str, Any] | None:
    """The process that an owner file names; empty if it is not to be read, ``None`` without it."""
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _living_owner(file: Path) -> str | None:
    """Who holds a folder by an owner file; ``None`` if there is none, or its process is dead."""
    owner = _read_owner(file)
    if owner is None:
        return None
    pid, host = owner.get("pid"), owner.get("host")
    now = _process(pid)
    # Machines may share a name, and containers the numbers of processes; these tell them apart.
    is_here = bool(owner) and all(owner.get(key) == now[key] for key in ("boot", "namespace"))
    if is_here and owner.get("start") != now["start"]:
        return None
    return _held_by(file, f"process {pid} on {host}" if owner else "a process")


def _held_by(file: Path, name: str) -> str:
    return (
        f"{file.parent}: {name} holds this folder, on a file system without locks; "
        f"when that process has ended, delete {file.name} in it and run this again"
    )


def _process(pid: object) -> dict[str, object]:
    """What tells a process of this machine from all others; ``start`` is empty for a dead one."""
    return {
        "host": socket.gethostname(),
        "boot": _system("sys/kernel/random/boot_id").strip(),
        "namespace": _namespace(),
        "pid": pid,
        "start": _start(pid),
    }


def _start(pid: object) -> str:
    """When a process was started, in ticks since the boot; empty if it has ended."""
    # After its name, which may hold anything, come its state and, as the 20th field, its start.
    fields = _system(f"{pid}/stat").rpartition(")")[2].split()
    # A process that was killed is a zombie until its parent has asked for it.
    return "" if len(fields) < 20 or fields[0] in "ZX" else fields[19]


def _system(name: str) -> str:
    """A file of ``/proc``, which not every system has."""
    try:
        return Path("/proc", name).read_text(errors="replace")
    except (OSError, ValueError):
        return ""


def _namespace() -> str:
    """The numbers of processes mean something within this only."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _drop_locks() -> None:
    """Close what a forked process has inherited; else the lock would live as long as it does."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_drop_locks)
