from __future__ import annotations

import os

import pytest

from sobench.suite.foreign import foreign_code


def test_it_prints_to_stderr_and_does_not_end_the_process(
    capfd: pytest.CaptureFixture[str],
) -> None:
    leave = os._exit
    with foreign_code():
        print("loaded")
    with pytest.raises(SystemExit, match=r"os\._exit\(0\)"), foreign_code():
        os._exit(0)
    assert os._exit is leave
    assert capfd.readouterr() == ("", "loaded\n")


def test_a_process_of_its_own_ends() -> None:
    with foreign_code():
        child = os.fork()
        if child == 0:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
