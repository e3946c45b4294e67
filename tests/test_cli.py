"""What the command line does with errors, signals and text that a terminal would obey."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from sobench import cli
from sobench.errors import RequestError
from tests.records import Outcome, invoke

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """What this process did with signals before a test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def doing(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Callable[..., Outcome]:
    """Runs the command line with a command ``work`` that calls a function."""

    def work(action: Callable[[], object], *arguments: str) -> Outcome:
        command = click.Command("work", callback=action)
        monkeypatch.setitem(cli.COMMANDS, "work", "")
        monkeypatch.setattr(cli.LazyCommands, "get_command", lambda *_: command)
        return invoke(capsys, *arguments, "work")

    return work


def failing(error: BaseException) -> Callable[[], object]:
    def action() -> None:
        raise error

    return action


class Unspeakable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError


FAILURES: list[tuple[BaseException, int, str]] = [
    (OSError(errno.EIO, "Input/output error"), 2, "error: a file or the output: Input/output err"),
    (OSError(errno.ENOSPC, "No space left", "a/b"), 2, "error: a/b: No space left\n"),
    (OSError("odd"), 2, "error: a file or the output: odd\n"),
    (MemoryError(), 1, "error: not enough memory (MemoryError)\n"),
    (RecursionError("too deep"), 1, "internal error: RecursionError: too deep\nrun it again with"),
    (KeyError("a\x1b[2J"), 1, r"internal error: KeyError: 'a\x1b[2J'"),
    (ValueError("a" * 10**6), 1, "internal error: ValueError: aaa"),
    (Unspeakable(), 1, "internal error: Unspeakable\nrun it again with --debug and report"),
    (RequestError("a\x1b]0;b\x07: wrong\nmend it"), 2, "error: a\\x1b]0;b\\x07: wrong\nmend it\n"),
    (RequestError("a" * 10**6), 2, "error: aaa"),
    (click.UsageError("no \x1b[2J"), 2, "Usage: "),
    (KeyboardInterrupt(), 130, "\ninterrupted; the same command goes on from the last check"),
]


@pytest.mark.parametrize(("error", "code", "words"), FAILURES, ids=lambda x: type(x).__name__)
def test_failures_are_a_line_or_two(
    doing: Callable[..., Outcome], error: BaseException, code: int, words: str
) -> None:
    outcome = doing(failing(error))
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith(words)
    assert len(outcome.err) <= 2001
    assert "\x1b" not in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("before", [True, False])
def test_debug_is_taken_anywhere(
    doing: Callable[..., Outcome], capsys: Capture, before: bool
) -> None:
    outcome = doing(failing(KeyError("a\x1b[2J")), *(["--debug"] if before else []))
    assert ("Traceback" in outcome.err) is before
    assert "\x1b" not in outcome.err
    outcome = invoke(capsys, "work", *([] if before else ["--debug"]))
    assert ("Traceback" in outcome.err) is not before


def test_arguments_are_repeated_printably(capsys: Capture) -> None:
    for arguments in (["list", "\x1b[2J"], ["\x1b[2J"], ["list", "--\x1b[2J"], ["x" * 10**6]):
        outcome = invoke(capsys, *arguments)
        assert outcome.code == 2
        assert "\x1b" not in outcome.err
        assert len(outcome.err) <= 2001


def test_the_first_signal_interrupts_and_the_next_two_do_not() -> None:
    received = cli.stop_once()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGINT, signal.SIGINT, signal.SIGTERM]


SIGNALLED = """
    import os, signal, click
    from sobench import cli

    def work():
        try:
            print("begins", flush=True)
            for number in {before}:
                os.kill(os.getpid(), number)
            signal.pause()
        finally:
            for number in {after}:
                os.kill(os.getpid(), number)
            print("cleaned", flush=True)

    cli.COMMANDS["work"] = ""
    cli.LazyCommands.get_command = lambda *_: click.Command("work", callback=work)
    class Late:
        def __del__(self, kill=os.kill, process=os.getpid()):
            for number in {late}:
                kill(process, number)

    late = Late()  # deleted when Python has taken its handlers away
    cli.main(["work"])
"""


@pytest.mark.parametrize(
    ("before", "after", "late", "code", "out"),
    [
        ([2], [], [2], 130, "begins cleaned"),
        ([2], [2, 2], [], 130, "begins cleaned"),
        ([15], [2], [2], 143, "begins cleaned"),
        ([2], [2, 2, 2], [], -2, "begins"),
        ([15], [15, 15, 15], [], -15, "begins"),
    ],
)
def test_signals(before: list[int], after: list[int], late: list[int], code: int, out: str) -> None:
    script = textwrap.dedent(SIGNALLED.format(before=before, after=after, late=late))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    assert done.stdout.split() == out.split()
    words = "interrupted; the same command goes on from the last checkpoint"
    assert done.stderr.strip() == (words if code > 0 else "")


def test_a_forked_process_ends_by_its_signal() -> None:
    """A loader that is told to end must not go on as if it were the command."""
    script = """
        import os, signal
        from sobench import cli
        cli.stop_once()
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        print(os.waitpid(child, 0)[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "15\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["list", "heads"], ["list", "keys"], ["--help"]])
def test_output_that_cannot_be_written(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sobench", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: a file or the output: No space left on device\n"


def test_streams_that_are_closed_or_know_few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    few = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", few)
    monkeypatch.setattr(sys, "stderr", None)
    cli._open_streams()
    print("größer", file=few)
    print("nothing", file=sys.stderr)
    sys.stderr.close()


def complete(instruction: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a shell asks for; torch, which takes seconds, must not be imported for it."""
    script = """if True:
        import sys
        from sobench.cli import main
        sys.argv = ["sobench"]
        try:
            main()
        finally:
            assert not {"torch", "pandas", "pydantic"} & sys.modules.keys()
    """
    variables = {"_SOBENCH_COMPLETE": instruction} | variables
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | variables,
    )  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(shell: str) -> None:
    done = complete(f"{shell}_source")
    if shell == "bash" and "Couldn't detect Bash version" in done.stderr:
        pytest.skip("there is no bash")
    assert done.returncode == 0, done.stderr
    assert f"_SOBENCH_COMPLETE={shell}_complete" in done.stdout


def test_shells_complete_commands_and_options() -> None:
    done = complete("bash_complete", COMP_WORDS="sobench pr", COMP_CWORD="1")
    assert (done.stdout, done.stderr) == ("plain,predict\nplain,prune\n", "")
    done = complete("bash_complete", COMP_WORDS="sobench list he", COMP_CWORD="2")
    assert done.stdout == "plain,heads\n"
