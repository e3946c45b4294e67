"""``sobench list``."""

from __future__ import annotations

import click

from sobench.commands.options import stdout
from sobench.report.listing import print_list

KINDS = ["methods", "heads", "datasets", "protocols", "suites", "keys"]


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
def command(kind: str) -> None:
    """Show methods, heads, datasets, protocols, suites, or the keys of a suite."""
    print_list(kind, stdout())
