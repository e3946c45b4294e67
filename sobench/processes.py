"""What tells one process from all others, on this machine and elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path


def process(pid: object) -> dict[str, object]:
    """What tells a process of this machine from all others; ``start`` is empty for a dead one."""
    return {
        "host": socket.gethostname(),
        "boot": _system("sys/kernel/random/boot_id").strip(),
        "namespace": _namespace(),
        "pid": pid,
        "start": _start(pid),
    }


def is_of_this_system(told: Mapping[str, object]) -> bool:
    """Whether a process runs, or ran, under the kernel that runs this one; containers share it."""
    # Machines may share a name; this tells them apart.
    boot = process(0)["boot"]
    return bool(boot) and told.get("boot") == boot


def lives_here(told: Mapping[str, object]) -> bool | None:
    """Whether a process still works; ``None`` if its number means nothing here."""
    now = process(told.get("pid"))
    # Containers of one machine may have processes of one number.
    if not is_of_this_system(told) or told.get("namespace") != now["namespace"]:
        return None
    return bool(now["start"]) and told.get("start") == now["start"]


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
