"""The names of checkpoint files; needs no torch.

A run keeps its two newest checkpoints, ``checkpoint-<step>-<sha256>.pt``. A file whose content does
not have the checksum of its name is damaged; the one before it is used instead.
"""

from __future__ import annotations

from pathlib import Path


def checkpoint_path(folder: Path, step: int, digest: str) -> Path:
    """The file of the checkpoint after ``step`` whose content has this checksum."""
    return folder / f"checkpoint-{step:08d}-{digest}.pt"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob("checkpoint-*.pt"), key=lambda path: path.name)


def step_of(path: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(path.name.split("-")[1])


def digest_of(path: Path) -> str:
    """The checksum in the name of a checkpoint."""
    return path.stem.rpartition("-")[2]
