"""Every operation on a file, counted in a child, so that one of them can fail or be the last."""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BY_PATH = {
    "open": "open", "mkdir": "mkdir", "rmdir": "unlink", "unlink": "unlink", "remove": "unlink",
    "rename": "rename", "replace": "rename", "link": "rename", "truncate": "truncate",
    "stat": "stat", "scandir": "list", "listdir": "list", "utime": "utime",
}  # fmt: skip
"""Functions of ``os`` that take a path first."""

_BY_DESCRIPTOR = {
    "read": "read", "pread": "read", "preadv": "read", "write": "write", "pwrite": "write",
    "fsync": "fsync", "fdatasync": "fsync", "ftruncate": "truncate", "posix_fallocate": "write",
}  # fmt: skip

WRITING = ("open to write", "mkdir", "write", "fsync", "rename", "unlink", "truncate", "utime")
READING = ("open", "read", "stat", "list")


@dataclass(frozen=True)
class Operation:
    """An operation on a file: its number from 1 on, its kind, and the file."""

    number: int
    kind: str
    path: str


@dataclass
class Operations:
    """Counts the operations on files below some folders, and calls ``act`` before each.

    Attributes:
        act: may raise, or end the process; whatever it returns is the share of a write that is done
            before the process is killed, or ``None`` for a whole write.
        kinds: that are counted.
    """

    folders: tuple[Path, ...]
    act: Callable[[Operation], float | None]
    kinds: tuple[str, ...] = WRITING
    count: int = field(default=0)

    def before(self, kind: str, path: object) -> float | None:
        """Count an operation if it is of these folders and kinds."""
        if kind not in self.kinds or not path or not isinstance(path, str | os.PathLike):
            return None
        absolute = os.path.abspath(os.fspath(path))  # noqa: PTH100
        if not any(absolute.startswith(f"{folder}/") for folder in self.folders):
            return None
        self.count += 1
        return self.act(Operation(self.count, kind, absolute))

    def install(self) -> None:
        """Watch this process from now on."""
        for name, kind in _BY_PATH.items():
            setattr(os, name, self._by_path(getattr(os, name), kind))
        for name, kind in _BY_DESCRIPTOR.items():
            setattr(os, name, self._by_descriptor(getattr(os, name), kind))
        io.open = builtins.open = self._open

    def _by_path(self, function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def watched(path: Any = ".", *others: Any, **options: Any) -> Any:
            writes = kind == "open" and others and others[0] & (os.O_WRONLY | os.O_RDWR)
            self.before("open to write" if writes else kind, path)
            return function(path, *others, **options)

        return watched

    def _by_descriptor(self, function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def watched(descriptor: Any, *others: Any, **options: Any) -> Any:
            share = self.before(kind, _path_of(descriptor))
            if share is not None:
                function(descriptor, _part(others[0], share), *others[1:])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(descriptor, *others, **options)

        return watched

    def _open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """As ``open``, over a file whose reads and writes are watched."""
        if isinstance(file, int):
            return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        self.before("open" if set(mode) <= set("rbt") else "open to write", file)
        raw = WatchedFile(file, mode.replace("b", "").replace("t", ""), self, opener)
        if buffering == 0:
            return raw
        if "+" in mode:
            buffer: Any = io.BufferedRandom(raw)
        else:
            buffer = io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffer
        text = io.TextIOWrapper(buffer, encoding, errors, newline, buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text


class WatchedFile(io.FileIO):
    """A file below the buffers, where a read or a write is one call to the system."""

    def __init__(self, file: Any, mode: str, operations: Operations, opener: Any) -> None:
        super().__init__(file, mode, opener=opener)
        self.operations = operations

    def write(self, content: Any) -> int:
        share = self.operations.before("write", self.name)
        if share is not None:
            super().write(_part(content, share))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(content)

    def read(self, size: int | None = -1) -> bytes:
        self.operations.before("read", self.name)
        return super().read(-1 if size is None else size)

    def readall(self) -> bytes:
        self.operations.before("read", self.name)
        return super().readall()

    def readinto(self, buffer: Any) -> int:
        self.operations.before("read", self.name)
        return super().readinto(buffer)

    def truncate(self, size: int | None = None) -> int:
        self.operations.before("truncate", self.name)
        return super().truncate(size)


_real_open = io.open
_real_readlink = os.readlink


def _path_of(descriptor: object) -> str:
    try:
        path = _real_readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""
    return path if path.startswith("/") else ""  # no file: "pipe:[77368]"


def _part(content: Any, share: float) -> Any:
    view = memoryview(content).cast("B")
    return view[: int(len(view) * share)]


def without_flock(number: int) -> Callable[[], None]:
    """For a child: a file system on which ``flock`` fails with this error."""

    def inside() -> None:
        def flock(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        fcntl.flock = flock

    return inside


def failing(folders: tuple[Path, ...], number: int, code: int, writing: bool) -> Callable[[], None]:
    """For a child: the operation of this number fails, as ``EIO`` or ``ENOSPC`` would let it."""

    def act(operation: Operation) -> None:
        if operation.number == number:
            # An error of a call with a path names it, one of a call with a descriptor does not.
            has_path = operation.kind not in ("read", "write", "fsync", "truncate")
            raise OSError(code, os.strerror(code), *([operation.path] if has_path else []))

    kinds = WRITING if writing else (*WRITING, *READING)
    return lambda: Operations(folders, act, kinds).install()


def last(folders: tuple[Path, ...], number: int, share: float | None) -> Callable[[], None]:
    """For a child: it is killed before the operation of this number, or in a write of a share."""

    def act(operation: Operation) -> float | None:
        if operation.number != number:
            return None
        if share is None or operation.kind != "write":
            os.kill(os.getpid(), signal.SIGKILL)
        return share

    return lambda: Operations(folders, act).install()


def noted(folders: tuple[Path, ...], into: Path, writing: bool) -> Callable[[], None]:
    """For a child: nothing fails, but every operation is written down."""

    def inside() -> None:
        notes = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        write = os.write

        def act(operation: Operation) -> None:
            write(notes, f"{operation.kind} {operation.path}\n".encode())

        Operations(folders, act, WRITING if writing else (*WRITING, *READING)).install()

    return inside


NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
