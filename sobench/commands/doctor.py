"""``sobench doctor``."""

from __future__ import annotations

import click

from sobench.commands.options import stdout
from sobench.report.doctor import print_checks


@click.command()
def command() -> None:
    """Say what this machine can do, what is missing, and how to mend it."""
    print_checks(stdout())
