"""Files are opened only if they are regular: pipes and devices have no end, or never begin."""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from io import BufferedReader
from pathlib import Path

# Their files are made up by the system; among their folders are links to every other folder.
_SYSTEM_FOLDERS = (Path("/proc"), Path("/sys"))


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, or fail at once.

    Raises:
        OSError: it cannot be opened, or is not a regular file; a ``FileNotFoundError`` if it does
            not exist, or no file can have its name.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:  # NUL, or half a character
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None
    if not _is_regular(descriptor):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def is_of_the_system(status: os.stat_result) -> bool:
    """Whether a file or folder is one that the system makes up."""
    return status.st_dev in _system_devices()


def _is_regular(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and not is_of_the_system(status)


@cache
def _system_devices() -> frozenset[int]:
    return frozenset(folder.stat().st_dev for folder in _SYSTEM_FOLDERS if folder.is_dir())
