"""Python's search for objects that refer to each other in a circle, while millions are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Let no circles be searched for; what nothing refers to is given back all the same.

    Boxes, rows and records refer to nothing that refers to them, and looking through all of them
    again and again takes longer than reading them, or, of records, a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
