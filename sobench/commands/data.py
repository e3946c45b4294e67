"""``sobench data``."""

from __future__ import annotations

from typing import Any

import click

from sobench.commands.options import stdout, suite_options, trust_mtime_option
from sobench.report.dataset import print_dataset
from sobench.suite.overrides import read_request


@click.command()
@suite_options
@click.option("--no-cache", is_flag=True, help="Check the annotations only; decode no image.")
@trust_mtime_option
def command(no_cache: bool, trust_mtime: bool, **options: Any) -> None:
    """Verify a dataset, show its statistics, and build its image cache."""
    request = read_request(**options)
    print_dataset(
        request.suite, request.limit, stdout(), build_cache=not no_cache, trust_mtime=trust_mtime
    )
