"""The base of every section of a suite file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a suite: immutable, and strict about its keys.

    Under every field of a section stands a docstring with its meaning, its unit and the effect of
    its default; ``report/keys.py`` makes the reference of all keys from them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
