"""Folders that one process holds at a time.

The lock of the system tells at once when a process of this machine has ended, and a lease tells
other machines, whose locks may not be the same or may be missing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sobench import lease
from sobench.errors import RunLocked
from sobench.files import named_errors
from sobench.lease import Lease

_LOCK = ".lock"
_NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_ATTEMPTS, _PAUSE, _WAIT_PAUSE = 10, 0.01, 0.2

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


@contextmanager
def locked(folder: Path, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a folder for this process; it is free when the process ends, however it ends.

    On this machine it is free at once, elsewhere where locks do not reach when the lease of the
    dead process was not renewed for its time. Processes that it forks do not hold the folder. A
    process that was stopped for long may have lost it: ``lease.check_held`` tells.

    Args:
        folder: made if it is missing.
        wait: wait until the folder is free, and call this with the reason before every pause.

    Raises:
        RunLocked: another process holds it, and ``wait`` is not given.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (links stay)
    with named_errors(folder / _LOCK):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _held.add(descriptor)
    try:
        with named_errors(folder / _LOCK):
            own = _acquire(descriptor, folder, wait)
        try:
            yield
        finally:
            # A forked process that comes here does not hold it.
            if descriptor in _held:
                own.end()
    finally:
        # In a forked process it is closed already, and the number may be another file's.
        if descriptor in _held:
            _held.discard(descriptor)
            os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder; changes nothing in it."""
    has_flock = True
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
            has_flock = False
    return lease.holder(folder, has_flock) is not None


def _acquire(descriptor: int, folder: Path, wait: Callable[[str], None] | None) -> Lease:
    attempts = 0
    while isinstance(own := _try_lock(descriptor, folder), str):
        # ``is_locked`` of another process holds it for a moment, which must not fail a run.
        attempts += 1
        if attempts < _ATTEMPTS:
            time.sleep(_PAUSE)
        elif wait is None:
            raise RunLocked(own)
        else:
            wait(own)
            time.sleep(_WAIT_PAUSE)
    return own


def _try_lock(descriptor: int, folder: Path) -> Lease | str:
    """Take the lock, or say who has it."""
    has_flock = True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"{folder}: another sobench process holds this folder"
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        has_flock = False
    own = lease.take(folder, has_flock)
    if isinstance(own, str) and has_flock:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return own


def _drop_locks() -> None:
    """Close what a forked process has inherited; else the lock would live as long as it does."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_drop_locks)
