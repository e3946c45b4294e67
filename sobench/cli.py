"""The command line: loads a command when it is asked for, and turns errors into exit codes."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

import sobench
from sobench.errors import (
    NothingToCompare,
    RequestError,
    SobenchError,
    did_you_mean,
    reason_of,
)
from sobench.text import printable, quoted, shortened

_LONGEST_MESSAGE = 2000

_PATIENCE = 3
"""Signals that stop a command at most once; one more ends the process wherever it is."""

COMMANDS = {
    "init": "Recognise a data set, and write a suite that fits it and this machine.",
    "run": "Train and score what is missing, then print the leaderboard.",
    "plan": "Show the runs of a suite, how far each has come, and what room their data take.",
    "status": "Show how far a running or stopped matrix is, from another terminal.",
    "report": "Print the leaderboard of a suite from the results so far.",
    "check": "Fail if results are worse than the suite's recorded baseline, for CI.",
    "compare": "Compare the rows that two suites, or two folders of results, both have.",
    "score": "Score detections that another tool has made, such as Ultralytics or MMDetection.",
    "predict": "Draw the detections of a finished run on images.",
    "export": "Write the trained network of a run as an ONNX file, or its log for TensorBoard.",
    "tune": "Choose settings on held-out training images, with equally many trials for every row.",
    "audit": "Show what every row shares, what each does otherwise, and where to be careful.",
    "data": "Verify a dataset, show its statistics, and build its image cache.",
    "list": "Show methods, heads, datasets, protocols, suites, or the keys of a suite.",
    "prune": "Delete what no run needs any more, and say what that costs.",
    "doctor": "Say what this machine can do, what is missing, and how to fix it.",
}
"""Each is ``command`` in the file of its name in ``commands/``. The help stands here too, so that
``sobench --help`` need not import them."""


class LazyCommands(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name, or ``None``."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"sobench.commands.{cmd_name}").command
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in ``click.Group``, with the nearest name for an unknown one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command {quoted(name)};{did_you_mean(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without importing them."""
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name]) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(sobench.__version__, prog_name="sobench")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Compare small-object detectors under uniform conditions."""
    del debug  # read by main(), which takes it out wherever it is written


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: errors are one or two lines on stderr.

    ``--debug`` may be written before or after the command.
    """
    _open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    stopped = stop_once()
    try:
        code = cli.main([word for word in words if word != "--debug"], standalone_mode=False)
        # Written here, where a full disk can still be told.
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        _fail(_usage(error), RequestError.exit_code, debug)
    except (click.Abort, KeyboardInterrupt):
        number = stopped[0] if stopped else signal.SIGINT
        if stopped:  # Python takes its handlers away as it ends, and would be killed by the next
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _fail("interrupted; the same command goes on from the last checkpoint", 128 + number)
    except BrokenPipeError:
        _drop_output()
        sys.exit(0)
    except SobenchError as error:
        kind = "nothing to show" if isinstance(error, NothingToCompare) else "error"
        _fail(f"{kind}: {error}", error.exit_code, debug)
    except OSError as error:
        # A results folder that cannot be written, a full disk.
        where = "a file or the output" if error.filename is None else error.filename
        _fail(f"error: {where}: {error.strerror or error}", RequestError.exit_code, debug)
    except MemoryError as error:
        _fail(f"error: not enough memory ({reason_of(error)})", SobenchError.exit_code, debug)
    except Exception as error:
        _fail(
            f"internal error: {reason_of(error)}\n"
            "run it again with --debug and report what it says",
            SobenchError.exit_code,
            debug,
        )


def _open_streams() -> None:
    """Let stdout and stderr take every text, also where they are closed or know few characters."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stop_once() -> list[int]:
    """Let the first SIGINT or SIGTERM interrupt the command, and the next two let it clean up.

    Returns:
        a list that the numbers of the signals are appended to.
    """
    received: list[int] = []
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if os.getpid() != owner or len(received) > _PATIENCE:
            signal.signal(number, signal.SIG_DFL)  # a loader's process, or one that hangs
            os.kill(os.getpid(), number)
        elif len(received) == 1:
            raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
    return received


def _usage(error: click.ClickException) -> str:
    """What click would print, which repeats arguments as they were given."""
    text = io.StringIO()
    error.show(text)
    return text.getvalue().rstrip("\n")


def _fail(message: str, code: int, debug: bool = False) -> NoReturn:
    with suppress(OSError):  # stderr may be full or closed as well
        if debug:
            click.echo(printable(traceback.format_exc(), keep="\n"), err=True)
        click.echo(printable(shortened(message, _LONGEST_MESSAGE), keep="\n"), err=True)
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    sys.exit(code)


def _drop_output() -> None:
    """Forget what could not be written, or Python would try again when it exits, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
