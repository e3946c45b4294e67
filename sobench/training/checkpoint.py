"""Checkpoints: written whole, with their checksum in the name, loaded without pickled code.

A run keeps its two newest checkpoints, ``checkpoint-<step>-<sha256>.pt``. A file whose content does
not have the checksum of its name is damaged; the one before it is used instead.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sobench.errors import CheckpointError
from sobench.files import write_atomic

KEEP = 2
_DIGITS = 16


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint and delete all but the newest two.

    Args:
        state: tensors, numbers, strings, lists and dicts of them; nothing else can be loaded back.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
    path = folder / f"checkpoint-{step:08d}-{digest}.pt"
    write_atomic(path, content)
    for old in [other for other in found(folder) if other != path][: -(KEEP - 1)]:
        old.unlink(missing_ok=True)
    return path


def keep_newest(folder: Path) -> None:
    """Delete all but the newest checkpoint: of a finished run, the trained weights."""
    for old in found(folder)[:-1]:
        old.unlink(missing_ok=True)


def found(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob("checkpoint-*.pt"), key=lambda path: path.name)


def step_of(path: Path) -> int:
    """The step that a checkpoint was written after."""
    return int(path.name.split("-")[1])


def newest(folder: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """The state of the newest sound checkpoint, or ``None`` if there is none.

    Args:
        warn: told of every damaged file that is passed over.
    """
    for path in reversed(found(folder)):
        try:
            return load(path)
        except CheckpointError as error:
            warn(str(error))
    return None


def load(path: Path) -> dict[str, Any]:
    """The state in a checkpoint.

    Raises:
        CheckpointError: the file is damaged.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
    if digest != path.stem.rpartition("-")[2]:
        raise CheckpointError(f"{path}: damaged (its checksum is {digest}); passed over")
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state
