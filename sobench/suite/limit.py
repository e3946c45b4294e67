"""How many images of each split a run uses, and which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Representative:
    """So many images of each split, chosen so that all classes are among them.

    Attributes:
        images: of each split; of a smaller split, all.
    """

    images: int


Limit = int | Representative | None
"""The first images of each split, some that represent it, or all."""


def as_setting(limit: Limit) -> Any:
    """What stands among the settings of a run."""
    return {"smoke": limit.images} if isinstance(limit, Representative) else limit


def option(limit: Limit) -> str:
    """The option of a command line that sets the limit; empty for all images."""
    if isinstance(limit, Representative):
        return "--smoke"
    return "" if limit is None else "--limit"
