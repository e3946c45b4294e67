"""``sobench list``."""

from __future__ import annotations

import click

from sobench.commands.options import stdout
from sobench.report.listing import print_list


@click.command()
@click.argument("kind", type=click.Choice(["methods", "heads", "datasets", "protocols", "suites"]))
def command(kind: str) -> None:
    """Show the methods, heads, datasets, protocols or suites that exist."""
    print_list(kind, stdout())
