"""Who else computes on a device: times mean something only where nobody does."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

LOCAL = "SOBENCH_LOCAL"
"""The variable that names the folder of this machine where processes tell that they use a device;
else it is in memory. Of a disk that machines share, locks must reach across them."""

_uses: dict[str, int] = {}
"""Devices that this process uses, each with the descriptor of its lock."""


@contextmanager
def using(device: torch.device) -> Iterator[None]:
    """Let other processes of this user on this machine know that this one computes on a device.

    Waits as long as one of them measures a time there, which takes seconds.
    """
    name = _name(device)
    descriptor = None if name in _uses else _opened(name)
    if descriptor is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            _uses[name] = descriptor
        except OSError:  # without locks nothing is known of others
            os.close(descriptor)
            descriptor = None
    try:
        yield
    finally:
        if descriptor is not None and _uses.get(name) == descriptor:
            del _uses[name]
            os.close(descriptor)


@contextmanager
def alone_on(device: torch.device) -> Iterator[str]:
    """Keep other processes off a device, and say who is on it all the same; empty if nobody is.

    Known are processes of this user on this machine that use it by ``using``, and on CUDA whatever
    the driver tells of.
    """
    with using(device):
        descriptor = _uses.get(_name(device))
        if descriptor is None:  # nothing can be written here, so nothing is known
            yield _others_by_driver(device)
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            others = _others_by_driver(device)
        except OSError:
            others = "another sobench process computes on the device"
        try:
            yield others
        finally:
            # The lock was given up in any case, and others may have the device for a moment.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)


def _name(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    return f"cuda-{torch.cuda.get_device_properties(device).uuid}"


def _opened(name: str) -> int | None:
    """A file of this machine that stands for the device, or ``None`` if there can be none."""
    memory = "/dev/shm"
    usual = memory if os.access(memory, os.W_OK) else tempfile.gettempdir()
    folder = Path(os.environ.get(LOCAL) or usual) / f"sobench-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return None


def _others_by_driver(device: torch.device) -> str:
    """Other programs on a CUDA device, as far as its driver tells of them."""
    if device.type != "cuda":
        return ""
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    command = ["nvidia-smi", "--query-compute-apps=gpu_uuid", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    # In a container the numbers of processes are not ours, but this process is one of them.
    others = sum(uuid in line for line in told.stdout.splitlines()) - 1
    return f"{others} other program(s) compute on the device" if others > 0 else ""


def _drop_uses() -> None:
    """Close what a forked process has inherited; else the device would be in use as it lives."""
    for descriptor in _uses.values():
        with suppress(OSError):
            os.close(descriptor)
    _uses.clear()


os.register_at_fork(after_in_child=_drop_uses)
