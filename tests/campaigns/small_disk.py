"""A real disk of some KiB, which only a child of this process sees; only root can make it."""

from __future__ import annotations

import ctypes
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NEW_MOUNTS = 0x20000
_PRIVATE, _REMOUNT = 0x4000 | 0x40000, 0x20
_libc = ctypes.CDLL(None, use_errno=True)

Resize = Callable[[int], None]
"""Gives the disk another size, in KiB."""


def on_a_small_disk(place: Path, kib: int, work: Callable[[Resize], Any]) -> Any:
    """What ``work`` returns with a small disk at ``place``, by way of JSON.

    Its mounts end with the child that it works in, and so does all that was written there.

    Raises:
        PermissionError: this process may not mount anything.
    """
    answer = place.with_name(f"{place.name}.json")
    pid = os.fork()
    if not pid:
        try:
            _call(_libc.unshare, _NEW_MOUNTS)
            _call(_libc.mount, b"none", b"/", None, _PRIVATE, None)
            _mount(place, kib)
            result = {"is": work(lambda size: _mount(place, size, _REMOUNT))}
        except PermissionError:
            result = {"forbidden": True}
        except BaseException:
            result = {"error": traceback.format_exc()}
        answer.write_text(json.dumps(result))
        os._exit(0)
    os.waitpid(pid, 0)
    content = json.loads(answer.read_text())
    if "forbidden" in content:
        raise PermissionError(f"{place}: nothing may be mounted here")
    if "error" in content:
        raise RuntimeError(content["error"])
    return content["is"]


def _mount(place: Path, kib: int, flags: int = 0) -> None:
    _call(_libc.mount, b"tmpfs", bytes(place), b"tmpfs", flags, f"size={kib}k".encode())


def _call(function: Any, *arguments: Any) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
