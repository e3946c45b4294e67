"""The command line: loads a command when it is asked for, and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

import sobench
from sobench.errors import NothingToCompare, RequestError, SobenchError, did_you_mean

INTERRUPTED = 130

COMMANDS = {
    "run": "Train and score what is missing, then print the leaderboard.",
    "plan": "Show the runs of a suite and how far each has come.",
    "report": "Print the leaderboard of a suite from the results so far.",
    "data": "Verify a dataset, show its statistics, and build its image cache.",
    "list": "Show methods, heads, datasets, protocols, suites, or the keys of a suite.",
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
            ctx.fail(f"No such command {name!r};{did_you_mean(name, COMMANDS)}")
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
    del debug  # read by main(), which also catches errors before a command begins


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: errors are one or two lines on stderr."""
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    try:
        code = cli.main(arguments, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(RequestError.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(RequestError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on from the last checkpoint", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except SobenchError as error:
        kind = "nothing to show" if isinstance(error, NothingToCompare) else "error"
        _fail(f"{kind}: {error}", error.exit_code, debug)
    except OSError as error:
        # A results folder that cannot be written, a full disk.
        if error.filename is None or error.strerror is None:
            raise
        _fail(f"error: {error.filename}: {error.strerror}", RequestError.exit_code, debug)


def _fail(message: str, code: int, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    click.echo(message, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
