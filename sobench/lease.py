"""Leases on folders, for machines that share a file system whose locks do not reach across them.

A lease is a file ``.lease.<number>`` that names its holder, who rewrites it several times in the
time for which it is good. Only the content counts, and whether it changes while another process
looks on: neither the clocks of the machines nor the time stamps of the file system need agree. The
highest number holds the folder. Who takes over a lease that is no longer renewed makes the next
number, which only one can, and looks again; the old holder renews, and looks for the next number:
so at least one of them sees the other.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sobench import processes
from sobench.errors import LeaseLost, RequestError
from sobench.files import new_temporary, temporary_files

SECONDS = "SOBENCH_LEASE_SECONDS"
"""The variable that says for how long a lease is good."""

DEFAULT_SECONDS = 120.0
"""Long enough for work that lets no other thread work, such as writing a long JSON text."""

_RENEWALS = 6
"""How often a lease is renewed in the time for which it is good."""

_NAME = re.compile(r"\.lease\.(\d{6,})")
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EXDEV}

_OLD = 10
"""Of a lease that is older than this many times its own time, readers say that nobody holds it."""

_watched: dict[Path, tuple[bytes, float]] = {}
"""Leases of others: their content, and since when it has been the same."""

_leases: dict[Path, Lease] = {}
"""The leases of this process, by their folders."""


class Lease:
    """The right of this process to write in a folder, renewed by a thread until it is given back.

    Attributes:
        file: whose number is the highest in its folder as long as the lease is held.
        seconds: for which it is good without being renewed.
    """

    def __init__(self, file: Path, has_flock: bool) -> None:
        self.file, self.seconds = file, lease_seconds()
        self._holder = processes.process(os.getpid()) | {
            "flock": has_flock, "seconds": self.seconds, "token": secrets.token_hex(8),
        }  # fmt: skip
        self._renewals, self._renewed = 0, _now()
        self._lost = ""
        self._ended, self._lock = threading.Event(), threading.Lock()

    @property
    def content(self) -> bytes:
        """What the file is to hold; of the same length whatever the number of renewals."""
        return json.dumps(self._holder | {"renewals": f"{self._renewals:012d}"}).encode()

    def start(self) -> None:
        """Renew it from now on."""
        _leases[self.file.parent] = self
        threading.Thread(target=self._renew_until_ended, name="lease", daemon=True).start()

    def end(self) -> None:
        """Give it back; the file of another holder is left alone."""
        self._ended.set()
        _leases.pop(self.file.parent, None)
        if _holder_in(_content(self.file)).get("token") == self._holder["token"]:
            with suppress(OSError):
                self.file.unlink()

    def check(self) -> None:
        """Make sure that the folder is still held, however long this process was stopped.

        Raises:
            LeaseLost: another process may have taken it over.
        """
        if not self._lost and _now() - self._renewed > self.seconds / 2:
            self._renew()
        if self._lost:
            raise LeaseLost(f"{self.file.parent}: this process no longer holds it: {self._lost}")

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self.seconds / _RENEWALS) and not self._lost:
            self._renew()

    def _renew(self) -> None:
        """Write the file anew, unless it is another's; notes why the lease is lost, if it is."""
        with self._lock:
            try:
                # Opened anew each time, which makes network file systems ask their server.
                with self.file.open("r+b", buffering=0) as file:
                    if _holder_in(file.read()).get("token") != self._holder["token"]:
                        raise FileNotFoundError
                    self._renewals += 1
                    file.seek(0)
                    file.write(self.content)
                if _numbered(self.file, 1).exists():
                    raise FileNotFoundError
                self._renewed = _now()
            except FileNotFoundError:
                self._lost = f"another took it over, as it was not renewed for {self.seconds:g} s"
            except OSError as error:
                if _now() - self._renewed > self.seconds:
                    self._lost = f"it cannot be renewed ({error.strerror or error})"


def take(folder: Path, has_flock: bool) -> Lease | str:
    """Take the lease of a folder, or say who has it.

    Args:
        has_flock: this process holds the folder by a lock of the system too, which tells of
            processes under the same kernel.
    """
    newest = _newest(folder)
    before = b"" if newest is None else _content(newest)
    if newest is not None and (problem := _living(newest, before, has_flock)):
        return problem
    file = folder / ".lease.000001" if newest is None else _numbered(newest, 1)
    lease = Lease(file, has_flock)
    if not _create(file, lease.content):
        return f"{folder}: another process has just taken this folder"
    # Who comes late may have looked before others came and went, or woke up.
    is_last = _newest(folder) == file and (newest is None or _content(newest) == before)
    if not is_last:
        file.unlink(missing_ok=True)
        return f"{folder}: another process has just taken this folder"
    for older in [*_files(folder), *_temporaries(folder)]:
        if older != file:
            older.unlink(missing_ok=True)
            _watched.pop(older, None)
    lease.start()
    return lease


def holder(folder: Path, has_flock: bool) -> str | None:
    """Who holds a folder by a lease, for readers; ``None`` if nobody does, or it is very old."""
    newest = _newest(folder)
    if newest is None:
        return None
    content = _content(newest)
    problem = _living(newest, content, has_flock)
    with suppress(OSError):  # it has just ended
        age = time.time() - newest.stat().st_mtime
        return None if age > _OLD * _seconds_of(_holder_in(content)) else problem
    return None


def check_held(folder: Path) -> None:
    """Raise ``LeaseLost`` if this process held the folder and may have lost it meanwhile."""
    lease = _leases.get(Path(os.path.abspath(folder)))  # noqa: PTH100 (links stay)
    if lease is not None:
        lease.check()


def lease_seconds() -> float:
    """For how long a lease of this process is good: ``SOBENCH_LEASE_SECONDS``, or 120.

    Raises:
        RequestError: the variable is not a number of seconds.
    """
    text = os.environ.get(SECONDS, "")
    try:
        seconds = float(text or DEFAULT_SECONDS)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise RequestError(f"{SECONDS}: {text!r} is not a number of seconds from 1 to 86400")
    return seconds


def _living(file: Path, content: bytes, has_flock: bool) -> str | None:
    """Who holds a lease; ``None`` if its process is dead, or did not renew it for long enough."""
    told = _holder_in(content)
    lives = processes.lives_here(told)
    # Both would hold the lock of one kernel, which only one can.
    if lives is False or (has_flock and told.get("flock") and processes.is_of_this_system(told)):
        return None
    if not lives and _is_stale(file, content, _seconds_of(told)):
        return None
    name = f"process {told.get('pid')} on {told.get('host')}" if told else "a process"
    return (
        f"{file.parent}: {name} holds this folder; if it has ended without a word, another one "
        f"takes over after {_seconds_of(told):g} s of waiting, or at once without {file.name}"
    )


def _is_stale(file: Path, content: bytes, seconds: float) -> bool:
    """Whether this process has seen the same content for long enough, by its own clock."""
    seen, since = _watched.get(file, (None, 0.0))
    if seen != content:
        _watched[file] = content, time.monotonic()
        return False
    return time.monotonic() - since > seconds


def _create(file: Path, content: bytes) -> bool:
    """Whether the file is new and has this content, which it has from the start if possible."""
    temporary = new_temporary(file)
    try:
        temporary.write_bytes(content)
        try:
            file.hardlink_to(temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with file.open("xb") as stream:  # one that is killed here is followed after a while
                stream.write(content)
    except (FileExistsError, FileNotFoundError):  # the latter if the other tidied its folder
        # The answer of a server may have been lost, and the second try found what the first made.
        return _content(file) == content
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _files(folder: Path) -> list[Path]:
    """The leases in a folder, the newest last."""
    try:
        names = [name for name in os.listdir(folder) if _NAME.fullmatch(name)]  # noqa: PTH208
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names, key=lambda name: (len(name), name))]


def _temporaries(folder: Path) -> list[Path]:
    """Leases that killed processes were about to take, or others are: these will try again."""
    return [file for file, name in temporary_files(folder).items() if _NAME.fullmatch(name)]


def _newest(folder: Path) -> Path | None:
    return next(reversed(_files(folder)), None)


def _numbered(file: Path, further: int) -> Path:
    """The lease so many numbers after this one."""
    return file.with_name(f".lease.{int(file.suffix[1:]) + further:06d}")


def _content(file: Path) -> bytes:
    """Empty if it cannot be read, or is not there."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _holder_in(content: bytes) -> Mapping[str, Any]:
    """What a lease tells of its holder; empty if it is half written, or not a lease."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _seconds_of(told: Mapping[str, Any]) -> float:
    """For how long a lease is good by its own word, or else as ours are."""
    seconds = told.get("seconds")
    is_sound = isinstance(seconds, int | float) and 1 <= seconds <= 86400
    return float(seconds) if is_sound and seconds is not None else lease_seconds()


def _now() -> float:
    """Seconds that also pass while the machine sleeps, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


os.register_at_fork(after_in_child=_leases.clear)
