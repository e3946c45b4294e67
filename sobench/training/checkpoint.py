"""Checkpoints: written whole, with their checksum in the name, loaded without pickled code."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sobench.errors import CheckpointError
from sobench.files import write_atomic
from sobench.training.checkpoint_files import checkpoint_path, digest_of, list_checkpoints

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
    path = checkpoint_path(folder, step, _digest(content))
    write_atomic(path, content)
    for old in [other for other in list_checkpoints(folder) if other != path][: -(KEEP - 1)]:
        old.unlink(missing_ok=True)
    return path


def keep_newest(folder: Path) -> None:
    """Delete all but the newest checkpoint, which holds the trained weights of a finished run."""
    for old in list_checkpoints(folder)[:-1]:
        old.unlink(missing_ok=True)


def load_newest(folder: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """The state of the newest sound checkpoint, or ``None`` if there is none.

    Args:
        warn: told of every damaged file that is passed over.
    """
    for path in reversed(list_checkpoints(folder)):
        try:
            return load(path)
        except CheckpointError as error:
            warn(f"{error}; passed over")
    return None


def load(path: Path) -> dict[str, Any]:
    """The state in a checkpoint.

    Raises:
        CheckpointError: the file is damaged.
    """
    content = path.read_bytes()
    digest = _digest(content)
    if digest != digest_of(path):
        raise CheckpointError(f"{path}: damaged (its checksum is {digest})")
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
