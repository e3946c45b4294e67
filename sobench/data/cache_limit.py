"""How much room image caches may take."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from sobench.errors import RequestError
from sobench.files import temporary_files
from sobench.text import plain, quoted

LIMIT = "SOBENCH_CACHE_LIMIT"
"""Variable: bytes that all image caches may take together, such as ``50G``."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)


def cache_room(folder: Path) -> int:
    """Bytes that a new image cache in a folder may take.

    That is what ``SOBENCH_CACHE_LIMIT`` leaves beside the caches that are there and those that are
    being built, and never more than is free on the disk; without the variable, half of what is
    free.

    Raises:
        RequestError: the variable is not a size.
    """
    text, free = os.environ.get(LIMIT), free_bytes(folder)
    if not text:
        return free // 2
    return max(0, min(free, parse_size(text) - _taken(folder)))


def limit_text() -> str:
    """The limit in words."""
    text = os.environ.get(LIMIT)
    return f"{LIMIT} of {plain(text)}" if text else f"half of the free disk (see {LIMIT})"


def parse_size(text: str) -> int:
    """Bytes of a text such as ``50G``, ``1.5 TiB`` or ``0``; K, M, G and T are powers of 1024.

    Raises:
        RequestError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise RequestError(
            f"{LIMIT}: {quoted(text)} is not a size; write bytes, such as 50G, or 0 for no image "
            "cache at all"
        )
    number, unit = match.groups()
    return int(float(number) * 1024 ** " KMGT".index(unit.upper() or " "))


def free_bytes(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _taken(folder: Path) -> int:
    """Bytes of all image caches, also of those that are being built."""
    taken = 0
    for path in (*folder.glob("*.images"), *temporary_files(folder)):
        with suppress(OSError):  # another process has just deleted it
            taken += path.stat().st_size
    return taken
