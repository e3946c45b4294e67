"""How code of other packages is called while a request is read and checked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def foreign_code() -> Iterator[None]:
    """Let it print to stderr only, where no results go, and not end the process unseen.

    Raises:
        SystemExit: it called ``os._exit``, after which a command would look like one that is done.
    """
    leave, owner = os._exit, os.getpid()

    def refuse(status: int) -> None:
        if os.getpid() != owner:  # a process of its own must not go on as if it were the command
            leave(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse  # type: ignore[assignment]
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os._exit = leave
