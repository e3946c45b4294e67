"""``sobench doctor``."""

from __future__ import annotations

import click

from sobench.commands.options import stdout


@click.command()
def command() -> None:
    """Say what this machine can do, what is missing, and how to fix it."""
    from sobench.report.doctor import print_checks  # which imports torch, and help need not wait

    print_checks(stdout())
