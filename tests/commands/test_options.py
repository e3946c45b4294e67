from __future__ import annotations

import errno
import io

import pytest

from sobench.commands.options import ProgressConsole


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_progress_that_cannot_be_written_does_not_end_the_work(number: int) -> None:
    class Log(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(number, f"cannot write {len(text)} characters")

    console = ProgressConsole(file=Log())
    console.print("epoch 1")
    console.print("epoch 2")
    assert console.quiet is (number == errno.EPIPE)
