"""The names of checkpoint files; needs no torch.

A run keeps its two newest checkpoints, ``checkpoint-<step>-<sha256>.pt``. A file whose content does
not have the checksum of its name is damaged; the one before it is used instead. Files of any other
name are not ours: they are neither read nor counted nor deleted.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

DIGITS = 16
"""Of the checksum in a name."""

_NAME = re.compile(rf"checkpoint-([0-9]{{8,}})-([0-9a-f]{{{DIGITS}}})\.pt")


def checkpoint_path(folder: Path, step: int, digest: str) -> Path:
    """The file of the checkpoint after ``step`` whose content has this checksum."""
    return folder / f"checkpoint-{step:08d}-{digest}.pt"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    paths = folder.glob("checkpoint-*.pt")
    ours = (path for path in paths if _NAME.fullmatch(path.name) and not path.is_dir())
    return sorted(ours, key=lambda path: (step_of(path), path.name))


def step_of(path: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(path.name.split("-")[1])


def digest_of(path: Path) -> str:
    """The checksum in the name of a checkpoint."""
    return path.stem.rpartition("-")[2]


def digest(content: bytes) -> str:
    """The checksum of a content, as it stands in the name of a checkpoint."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def is_sound(path: Path) -> bool:
    """Whether a checkpoint has the checksum of its name; raises ``OSError`` if it is unreadable."""
    return digest(path.read_bytes()) == digest_of(path)
