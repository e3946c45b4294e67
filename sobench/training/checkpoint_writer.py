"""Checkpoints that are written in a thread, from a copy, while the training goes on."""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from sobench.training import checkpoint


class CheckpointWriter:
    """Writes the checkpoints of a training into a folder, one at a time.

    At the end of its ``with`` block nothing is being written any more. What a write raises, such as
    ``DiskFull``, comes out of the next call, or of the end of the block if that is reached without
    another error.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[Path] | None = None

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._thread.shutdown()

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Copy a state, and have the copy written as ``checkpoint.save`` does.

        The state may change as soon as this returns. If the checkpoint before is not written yet,
        that is waited for.
        """
        self.wait()
        copied, arrived = copy_to_host(state)
        self._writing = self._thread.submit(_write, self._folder, step, copied, arrived)

    def check(self) -> None:
        """Raise what went wrong in a write that has ended."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the last checkpoint is on the disk."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def copy_to_host(state: Any) -> tuple[Any, torch.cuda.Event | None]:
    """A copy of nested dicts, lists and tuples, whose tensors lie on the host in their own memory.

    From a GPU they come through page-locked memory, and nobody waits for them: they are there when
    the event is reached, and operations that the GPU is given later do not change them.
    """
    copied = _copied(state)
    if not _has_cuda(state):
        return copied, None
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()
    return copied, arrived


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        pinned = torch.empty_like(value, device="cpu", pin_memory=value.is_cuda)
        return pinned.copy_(value, non_blocking=True)
    if isinstance(value, dict):
        copied = copy.copy(value)  # an ordered one with the versions of its modules
        copied.update({key: _copied(of_key) for key, of_key in value.items()})
        return copied
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    return value


def _has_cuda(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.is_cuda
    parts = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list | tuple) and any(map(_has_cuda, parts))


def _write(
    folder: Path, step: int, state: dict[str, Any], arrived: torch.cuda.Event | None
) -> Path:
    if arrived is not None:
        arrived.synchronize()
    return checkpoint.save(folder, step, state)
