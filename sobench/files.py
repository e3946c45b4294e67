"""Files that are written whole or not at all, and folders that one process holds."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sobench.errors import RunLocked

_LOCK = ".lock"
_ATTEMPTS, _PAUSE = 10, 0.01


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` that becomes ``path`` when the block ends well.

    The content is flushed to the disk before it is renamed, so that a crash leaves either the old
    file or the new one. If the block fails, the temporary file is deleted and ``path`` stays as it
    was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the system lets go when the process ends, however it ends.

    Raises:
        RunLocked: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        # ``is_locked`` of another process holds it for a moment, which must not fail a run.
        for remaining in reversed(range(_ATTEMPTS)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not remaining:
                    raise RunLocked(
                        f"{folder}: another sobench process holds this run; wait for it, "
                        "then run this again"
                    ) from None
                time.sleep(_PAUSE)
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder; changes nothing in it."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
