"""The command line in a forked child: everything is imported beforehand, so a case costs little."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from sobench import cli
from tests.campaigns.thin import make_thin

# All that a command would import first, so that only the parent pays for it.
_MODULES = (
    *(f"sobench.commands.{command}" for command in cli.COMMANDS),
    *(f"sobench.models.methods.{name}.model" for name in ("fpn", "efpn", "zoominnet")),
    *("sobench.runs.matrix", "sobench.report.doctor", "hotcoco", "pycocotools.cocoeval"),
    "fvcore.nn",
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fvcore's import warns of deprecated parts of torch
    for _module in _MODULES:
        import_module(_module)

PATIENCE = 120.0
"""Seconds after which a command hangs."""

HUNG = 999
"""The exit code of a command that was given up."""

Inside = Callable[[], None]
"""Called in the child before the command begins; patches what the case needs."""


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        code: its exit code, or the negative number of the signal that killed it.
        seconds: from its start to its end.
        peak_mb: the most memory that it held, in MiB, with what it inherited.
    """

    code: int
    out: str
    err: str
    seconds: float
    peak_mb: float

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.err or self.code == HUNG

    @property
    def last_line(self) -> str:
        """The last line on stderr, shortened."""
        return (self.err.strip().splitlines() or [""])[-1][:160]


@dataclass(frozen=True)
class Child:
    """A command at work in a process of its own."""

    pid: int
    folder: Path
    began: float

    def send(self, number: int) -> None:
        """Send a signal; a child that has ended does not mind."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, patience: float = PATIENCE) -> Ending:
        """Its end; a child that takes longer than ``patience`` seconds is killed."""
        hung, deadline = False, time.monotonic() + patience
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline and not hung:
                hung = True
                self.send(signal.SIGKILL)
            time.sleep(0.002)
        code = HUNG if hung else os.waitstatus_to_exitcode(status)
        return _ending(self.folder, code, time.monotonic() - self.began, usage)

    def wait_begun(self) -> None:
        """Wait until the forked command is about to begin, or has ended."""
        while not (self.folder / "begun").exists() and self.works():
            time.sleep(0.001)

    def works(self) -> bool:
        """Whether it has not ended; its end is kept for ``wait``."""
        return not os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def wait_for(self, seconds: float) -> bool:
        """Whether it still works after that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.works():
                return False
            time.sleep(0.001)
        return True


def _ending(folder: Path, code: int, seconds: float, usage: resource.struct_rusage) -> Ending:
    out, err = (
        path.read_text(errors="backslashreplace") for path in (folder / "out", folder / "err")
    )
    return Ending(code, out, err, seconds, usage.ru_maxrss / 1024)


def sobench(
    folder: Path,
    *arguments: str,
    inside: Inside | None = None,
    patience: float = PATIENCE,
    output: Path | None = None,
) -> Ending:
    """``sobench ARGUMENTS`` in ``folder``, with its cache below it.

    Args:
        inside: called in the child before the command.
        patience: seconds until it is given up.
        output: folder of what it prints, if that is not ``folder`` itself.
    """
    return start(folder, *arguments, inside=inside, output=output).wait(patience)


def start(
    folder: Path,
    *arguments: str,
    inside: Inside | None = None,
    name: str = "child",
    output: Path | None = None,
) -> Child:
    """Begin ``sobench ARGUMENTS`` in ``folder``; what it prints goes to ``output/.NAME``."""
    streams = (output or folder) / f".{name}"
    return _fork(folder, streams, lambda: _leave(_code_of(arguments, folder, streams, inside)))


def start_process(folder: Path, *arguments: str, name: str = "child") -> Child:
    """As ``start``, by a new Python, which imports everything itself."""
    command = [sys.executable, "-m", "tests.campaigns.thin", *arguments]
    return _fork(
        folder, folder / f".{name}", lambda: os.execve(command[0], command, environment(folder))
    )


def _fork(folder: Path, streams: Path, work: Callable[[], NoReturn]) -> Child:
    streams.mkdir(exist_ok=True)
    (streams / "begun").unlink(missing_ok=True)
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        try:
            _redirect(folder, streams)
            work()
        finally:
            os._exit(127)
    return Child(pid, streams, began)


def environment(folder: Path) -> dict[str, str]:
    """The variables of a command that works in ``folder``."""
    kept: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if not name.startswith("SOBENCH_")
    }
    checkout = str(Path(__file__).parents[2])
    return {
        **kept,
        "SOBENCH_CACHE": str(folder / "cache"),
        "TORCH_HOME": str(folder / "torch"),
        "PYTHONPATH": os.pathsep.join(filter(None, (checkout, kept.get("PYTHONPATH", "")))),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }


def _code_of(arguments: Sequence[str], folder: Path, streams: Path, inside: Inside | None) -> int:
    """The exit code of the command, as Python would give it."""
    try:
        os.environ.clear()
        os.environ.update(environment(folder))
        make_thin()
        (streams / "begun").touch()
        if inside is not None:
            inside()
        cli.main(list(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _redirect(folder: Path, streams: Path) -> None:
    """Give the child streams, a folder and signals of its own."""
    os.chdir(folder)
    inputs = os.open(os.devnull, os.O_RDONLY)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    outputs = [os.open(streams / name, flags, 0o644) for name in ("out", "err")]
    for number, descriptor in enumerate((inputs, *outputs)):
        os.dup2(descriptor, number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(code: int) -> NoReturn:
    """End the child without what its parent wanted to do at its own end."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    os._exit(code)
