"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import math
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from sobench.errors import DiskFull

# Name, machine, process, chance; older versions wrote name and process.
_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.[A-Za-z0-9-]+\.\d+\.[0-9a-f]{8}\.tmp|\.(?P<old>.+)\.\d+\.tmp", re.DOTALL
)
_NAME_BYTES = 180
"""Of a name in a temporary one, which may have 255 with all that is added."""


@contextmanager
def atomic_path(path: Path, needed: int | None = None) -> Iterator[Path]:
    """Give a temporary name beside ``path`` that becomes ``path`` when the block ends well.

    The content is flushed to the disk before it is renamed, so that a crash leaves either the old
    file or the new one. If the block fails, the temporary file is deleted and ``path`` stays as it
    was. The temporary file exists, is empty, and belongs to nobody else.

    Args:
        path: the file to be written.
        needed: bytes of the whole content if they are known, for the message on a full disk.

    Raises:
        DiskFull: there is no room for the content.
        OSError: it cannot be written; has a ``filename`` in any case.
    """
    with named_errors(path, needed):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = new_temporary(path)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all; raises as ``atomic_path`` does."""
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)


def write_sealed(path: Path, content: bytes) -> None:
    """``write_atomic`` behind a digest, by which ``read_sealed`` tells whether it is whole."""
    write_atomic(path, sha256(content).hexdigest().encode() + b"\n" + content)


def read_sealed(path: Path) -> bytes | None:
    """What ``write_sealed`` wrote; ``None`` if it is missing, damaged or cannot be read."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if sha256(content).hexdigest().encode() == digest else None


@contextmanager
def named_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """Give errors of the system in the block a file name, which reads and writes leave out.

    Raises:
        DiskFull: instead of an error that says that there is no room.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(_no_room(path.parent, needed, error)) from error
        if error.errno is None or not _is_nameless(error):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def temporary_names(folder: Path) -> set[str]:
    """Names of the files that are or were being written in a folder; long ones are cut."""
    return set(_temporaries(folder).values())


def temporary_files(folder: Path) -> dict[Path, str]:
    """The temporary files in a folder, of living processes or dead ones, with their final names."""
    return {folder / file: name for file, name in _temporaries(folder).items()}


def remove_orphans(folder: Path, name: str | None = None) -> None:
    """Delete the temporary files that killed processes left in a folder.

    The caller holds the lock under which files of the folder are written, so that nobody else is
    writing one.

    Args:
        folder: may be missing.
        name: delete only those that were to become the file of this name.
    """
    for file, final_name in _temporaries(folder).items():
        if name is None or final_name == _shortened(name):
            # What cannot be tidied up is no reason for a run to fail.
            with suppress(OSError):
                (folder / file).unlink()


def new_temporary(path: Path) -> Path:
    """An empty file of this process beside ``path``, for which no other file is given up."""
    # Two machines, or two containers, may have processes of one number.
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:24] or "-"
    while True:
        unique = f"{host}.{os.getpid()}.{os.urandom(4).hex()}"
        temporary = path.with_name(f".{_shortened(path.name)}.{unique}.tmp")
        with suppress(FileExistsError):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return temporary


def _shortened(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_NAME_BYTES])


def _temporaries(folder: Path) -> dict[str, str]:
    """The temporary files of a folder, with the names that they were to have."""
    try:
        matches = [_TEMPORARY.fullmatch(file) for file in os.listdir(folder)]  # noqa: PTH208
    except OSError:
        return {}
    return {match[0]: match["name"] or match["old"] for match in matches if match}


def _is_nameless(error: OSError) -> bool:
    """Whether an error names no file, or a temporary one that means nothing to the user."""
    if error.filename is None:
        return True
    return isinstance(error.filename, str) and bool(_TEMPORARY.fullmatch(Path(error.filename).name))


def _no_room(folder: Path, needed: int | None, error: OSError) -> str:
    full = "the quota is used up" if error.errno == errno.EDQUOT else "the disk is full"
    # Rounded apart, so that the two never look alike.
    room = [f"{_in_units(needed, math.ceil)} needed"] if needed is not None else []
    with suppress(OSError):
        state = os.statvfs(folder)
        room.append(f"{_in_units(state.f_bavail * state.f_frsize, math.floor)} free")
        room += ["no further file possible"] if state.f_files and not state.f_favail else []
    return f"{folder}: {full}: {', '.join(room)}; make room, then the same command goes on"


def _in_units(count: int, rounded: Callable[[float], int]) -> str:
    return f"{rounded(count / 2**20)} MiB" if count >= 2**20 else f"{rounded(count / 2**10)} KiB"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems, such as those of Windows machines, have no folders to flush.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)
