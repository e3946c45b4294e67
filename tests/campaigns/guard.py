"""A child process in which hostile input is tried: what it prints, takes and touches is kept."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from sobench.cli import main
from sobench.errors import SobenchError

Step = tuple[str, ...] | Callable[[], object]
"""A command line, or a function that raises a ``SobenchError`` where a command would fail."""

MOST_SECONDS = 20.0
"""Of a step."""
MOST_BYTES = 3 * 2**30
_MARGIN = 2**30
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.mkdir": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.link": (1,),
    "os.symlink": (1,), "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,),
}  # fmt: skip
"""Audit event -> positions of the paths that it changes."""
_OF_NO_DISK = ("/dev/", "/memfd:", "/proc/")
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
_NETWORK = ("socket.connect", "socket.getaddrinfo", "urllib.Request")


@dataclass(frozen=True)
class Result:
    """How a step ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Trial:
    """All steps of a case.

    Attributes:
        results: of the steps that were begun and ended.
        later: of them, the number that is only tried when all before were accepted.
        touched: programs started, hosts asked and files changed outside the case's folder.
        made: whether the files of the case could be written.
        ended: how the process ended: ``done``, ``hang``, ``killed``, ``left`` (by itself).
        seconds, peak: time and memory that it took, the latter in bytes.
    """

    results: tuple[Result, ...]
    later: int
    touched: tuple[str, ...]
    made: bool
    ended: str
    seconds: float
    peak: int


@dataclass
class _Notes:
    """Written by the child, read by its parent."""

    codes: list[int] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    touched: list[str] = field(default_factory=list)
    later: int = 0
    made: bool = False
    done: bool = False


def warm_up() -> None:
    """Import what commands import, once for all children."""
    import hotcoco  # noqa: F401
    import pycocotools.cocoeval  # noqa: F401
    import torch

    import sobench.commands.data
    import sobench.commands.list
    import sobench.commands.plan
    import sobench.commands.report
    import sobench.commands.run
    import sobench.commands.score
    import sobench.runs.matrix  # noqa: F401
    from sobench.environment import cpu_name, describe

    # A pool of threads does not survive a fork, and the commit is asked of a program only once.
    torch.set_num_threads(1)
    describe("cpu", 1)
    cpu_name()


def attempt(
    folder: Path,
    write: Callable[[Path], None],
    steps: Sequence[Step],
    later: Sequence[Step] = (),
    terminal: bool = False,
) -> Trial:
    """Try the steps in a forked child, whose working folder is ``folder``.

    Args:
        folder: empty; the child may change nothing else.
        write: makes the files of the case there, before anything is watched.
        later: further steps, if all of the first are accepted.
        terminal: the child believes that it writes to a terminal.
    """
    out, err, notes = (os.memfd_create(name) for name in ("out", "err", "notes"))
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(folder, write, steps, later, (out, err, notes), terminal)
    ended, peak = _wait(child)
    seconds = time.monotonic() - start
    written = [_content(fd) for fd in (out, err)]
    lines = _content(notes).splitlines()
    kept = _Notes(**json.loads(lines[-1] if lines else b"{}"))
    for fd in (out, err, notes):
        os.close(fd)
    if ended == "exit":
        ended = "done" if kept.done else "left"
    # Outputs are cut where each step ended.
    results = []
    for code, begin, end in zip(kept.codes, kept.sizes, kept.sizes[1:], strict=False):
        pieces = [data[first:last] for data, first, last in zip(written, begin, end, strict=True)]
        results.append(Result(code, *(p.decode("utf-8", "surrogateescape") for p in pieces)))
    if not kept.made:
        results = [Result(1, "", written[1].decode("utf-8", "backslashreplace"))]
    return Trial(tuple(results), kept.later, tuple(kept.touched), kept.made, ended, seconds, peak)


def _content(fd: int) -> bytes:
    size = min(os.fstat(fd).st_size, 2**24)
    return os.pread(fd, size, 0)


def _wait(child: int) -> tuple[str, int]:
    """How the child ended, and its peak memory in bytes; its alarm ends it after its time."""
    _, status, usage = os.wait4(child, 0)
    # What it has started itself; a child that died at once had no group of its own.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    ended = "hang" if code == -signal.SIGALRM else "killed" if code < 0 else "exit"
    return ended, usage.ru_maxrss * 1024


def _child(
    folder: Path,
    write: Callable[[Path], None],
    steps: Sequence[Step],
    later: Sequence[Step],
    files: tuple[int, int, int],
    terminal: bool,
) -> NoReturn:
    out, err, notes_file = files
    notes = _Notes()

    def keep() -> None:
        os.write(notes_file, json.dumps(vars(notes)).encode() + b"\n")

    try:
        _set_alarm(2 * MOST_SECONDS)
        _enter(folder, out, err, _Terminal if terminal else io.TextIOWrapper)
        write(folder)
        notes.made = True
        notes.sizes = [_sizes(out, err)]
        keep()
        _watch(folder, notes.touched, keep)
        for number, step in enumerate((*steps, *later)):
            if number == len(steps) and any(code not in (0, 4) for code in notes.codes):
                break
            notes.later += number >= len(steps)
            _set_alarm(MOST_SECONDS)
            code = _run(step)
            _set_alarm(0)
            notes.sizes.append(_sizes(out, err))
            notes.codes.append(code)
            keep()
        notes.done = True
        keep()
    except BaseException:  # an error of the campaign itself
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(0)


def _set_alarm(seconds: float) -> None:
    """Let this process be killed after that time, whatever it waits for; 0 for never."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _sizes(out: int, err: int) -> tuple[int, int]:
    """Bytes written so far."""
    sys.stdout.flush()
    sys.stderr.flush()
    return os.fstat(out).st_size, os.fstat(err).st_size


class _Terminal(io.TextIOWrapper):
    """A file that says it is a terminal: colours, progress bars and control characters go to it."""

    def isatty(self) -> bool:
        return True


def _enter(folder: Path, out: int, err: int, stream: type[io.TextIOWrapper]) -> None:
    """Make this process one of its own: folder, environment, outputs, limits."""
    os.setsid()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    for name in list(os.environ):
        if name.startswith("SOBENCH_") or name in ("COLUMNS", "FORCE_COLOR", "XDG_CACHE_HOME"):
            del os.environ[name]
    for name in ("HOME", "TMPDIR", "SOBENCH_CACHE", "TORCH_HOME"):
        os.environ[name] = str(folder / name.lower())
    (folder / "tmpdir").mkdir()
    os.environ.update(SECRET="opensesame", TERM="xterm", COLUMNS="200")
    tempfile.tempdir = None
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.set_blocking(1, True)
    sys.stdout = stream(io.FileIO(1, "w", closefd=False), "utf-8", "strict")
    sys.stderr = stream(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MOST_BYTES + _MARGIN
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _watch(folder: Path, touched: list[str], keep: Callable[[], None]) -> None:
    """Note every program, host, and change of a file outside the folder, from now on."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**31, 2**31))
    inside = os.path.realpath(folder) + "/"
    watching = [True]

    def note(text: str) -> None:
        if len(touched) < 5:
            touched.append(text[:200])
            keep()

    def check(path: Any, event: str) -> None:
        if isinstance(path, int) or path is None:
            return
        try:
            place = os.path.realpath(os.fsdecode(path))
        except (ValueError, TypeError, OSError):  # NUL: nothing was opened
            return
        if not f"{place}/".startswith(inside) and not place.startswith(_OF_NO_DISK):
            note(f"{event} {place}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching[0]:
            return
        watching[0] = False
        try:
            if event == "open":
                path, _, flags = arguments
                if isinstance(flags, int) and flags & _WRITES:
                    check(path, event)
            elif event in _CHANGES:
                for position in _CHANGES[event]:
                    check(arguments[position], event)
            elif event in _PROGRAMS or event in _NETWORK:
                note(f"{event} {str(arguments)[:150]}")
        finally:
            watching[0] = True

    sys.addaudithook(hook)


def _run(step: Step) -> int:
    """The exit code that a user would see; an exception that escapes prints its traceback."""
    try:
        if callable(step):
            step()
            return 0
        main(step)
    except SystemExit as leaving:
        code = leaving.code
        if code is None or isinstance(code, int):
            return code or 0
        print(code, file=sys.stderr)
        return 1
    except SobenchError as error:
        if not callable(step):
            traceback.print_exc()
            return 1
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BaseException:
        try:
            traceback.print_exc()
        except BaseException:  # an exception whose own text raises
            print("Traceback of an exception without a text", file=sys.stderr)
        return 1
    return 0
