"""Paths as suites write them, with variables of the environment; no other key has any."""

from __future__ import annotations

import os
import re
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


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
