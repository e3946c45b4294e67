"""Paths as suites write them, with variables of the environment; no other key has any."""

from __future__ import annotations

import os
import re
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


NONE = "none"
"""As ``init_from`` of a row: it starts from the backbone's weights all the same."""

PLACEHOLDERS = ("{method}", "{label}")
"""What the path of an ``init_from`` may contain: the method and the label of the row."""


def expanded(path: str) -> Path:
    """A path with ``${VAR}``, ``$VAR`` and ``~`` replaced.

    A message about it shows the path as it was written: what a variable holds may be nobody's
    business.

    Raises:
        KeyError: a variable is not set or empty; with its name.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise KeyError(name)
        return os.environ[name]

    return Path(os.path.expanduser(_VARIABLE.sub(value, path)))  # noqa: PTH111


def is_place(text: str) -> bool:
    """Whether an ``init_from`` that is no label of a row names a file or a folder."""
    return "/" in text or text.startswith(("~", "$"))


def unknown_placeholder(place: str) -> str:
    """The first braces of a place that nothing is filled into; empty if there are none."""
    rest = place.replace("${", "$")  # a variable
    for known in PLACEHOLDERS:
        rest = rest.replace(known, "")
    before, brace, after = rest.partition("{")
    del before
    return f"{{{after.partition('}')[0]}}}" if brace else ""
