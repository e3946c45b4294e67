"""Checkpoints: written whole, with their checksum in the name, loaded without pickled code."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sobench.errors import CheckpointError, reason_of
from sobench.files import atomic_path
from sobench.lease import check_held
from sobench.training.checkpoint_files import (
    checkpoint_path,
    digest,
    digest_of,
    is_sound,
    list_checkpoints,
    step_of,
)


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint, and delete all others but the newest of an earlier step.

    Others of this step or of later ones were passed over when the training was resumed before them,
    so they are damaged.

    Args:
        state: tensors, numbers, strings, lists and dicts of them; nothing else can be loaded back.

    Raises:
        LeaseLost: another process holds the folder, because this one was stopped for long.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path = checkpoint_path(folder, step, digest(content))
    with atomic_path(path, len(content)) as temporary:
        temporary.write_bytes(content)
        check_held(folder)  # or the checkpoints of who goes on with the run would be deleted
    others = [other for other in list_checkpoints(folder) if other != path]
    earlier = [other for other in others if step_of(other) < step]
    for other in others:
        if other not in earlier[-1:]:
            other.unlink(missing_ok=True)
    return path


def keep_newest(folder: Path) -> None:
    """Delete all but the newest sound checkpoint, the trained weights of a finished run.

    Raises:
        OSError: a checkpoint cannot be read, so that it may be the one to keep; none is deleted.
    """
    paths = list_checkpoints(folder)
    newest = next((path for path in reversed(paths) if len(paths) > 1 and is_sound(path)), None)
    for other in paths if newest else []:
        if other != newest:
            other.unlink(missing_ok=True)


def load_newest(folder: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """The state of the newest sound checkpoint, or ``None`` if there is none.

    Args:
        warn: told of every file that is passed over because it is damaged or cannot be read.
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
        CheckpointError: the file cannot be read or is damaged.
    """
    content = _read_sound(path)
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
    except MemoryError:
        raise  # which says nothing of the file
    except Exception as error:  # torch raises many kinds for what it did not write
        raise CheckpointError(f"{path}: not a checkpoint ({reason_of(error)})") from error
    return state


def _read_sound(path: Path) -> bytes:
    """The content of a checkpoint, which has the checksum of its name."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    checksum = digest(content)
    if checksum != digest_of(path):
        raise CheckpointError(f"{path}: damaged (its checksum is {checksum})")
    return content
