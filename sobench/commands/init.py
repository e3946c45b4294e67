"""``sobench init``."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import click

from sobench.commands.options import stderr, stdout
from sobench.data.recognise import recognise
from sobench.data.survey import survey
from sobench.errors import RequestError
from sobench.files import write_atomic
from sobench.report.hashing import shown_fingerprint

_MINUTES = {"cpu": 20.0, "cuda": 240.0}
"""Time for a whole suite, by kind of device."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="SUITE.yaml",
    help="The suite file; by default it has the name of the folder, here.",
)  # fmt: skip
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True, max=10**6),
    help="Time for all of the suite; 20 on a CPU and 240 on a GPU by default.",
)  # fmt: skip
@click.option("--format", "dataset_format", default="", help="Of the data, if it could be several.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              show_default=True, help="The device that the suite is for.")  # fmt: skip
def command(
    folder: Path, out: Path | None, minutes: float | None, dataset_format: str, device: str
) -> None:
    """Recognise a data set, and write a suite that fits it and this machine."""
    layout = recognise(folder, dataset_format)
    named = folder if folder.is_dir() else folder.parent
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", named.absolute().name).strip("._-") or "my_suite"
    path = out or Path(f"{stem}.yaml")
    if path.suffix not in (".yaml", ".yml"):
        raise RequestError(f"--out: {path} is not a suite file; write a name that ends in .yaml")
    if path.exists():
        raise RequestError(f"{path}: is there already; remove it, or write --out OTHER.yaml")
    # A folder beside the suite file, or below, is named from there, so that both can move.
    root = Path(os.path.relpath(layout.root.resolve(), path.absolute().parent.resolve()))

    placed = replace(layout, root=layout.root.absolute())
    shown_fingerprint(placed.spec(), trust_mtime=False)  # which shows how far the reading is
    found = survey(placed)

    # torch takes seconds to import: wrong data are reported before that.
    from sobench.device import choose_device
    from sobench.report.draft import print_draft, suite_text
    from sobench.runs.draft import draft
    from sobench.suite.reader import load

    chosen = choose_device(device)
    console = stderr()
    drafted = draft(
        found, path.stem, chosen, minutes or _MINUTES[chosen.type],
        lambda label: console.print(f"timing a few steps of {label}"),
    )  # fmt: skip
    if ".." not in root.parts:
        drafted = replace(
            drafted, content={**drafted.content, "dataset": found.section | {"root": str(root)}}
        )
    write_atomic(path, suite_text(drafted, found, layout).encode())
    load(path)  # or the next command would be the first to refuse it
    print_draft(drafted, found, layout, path, stdout())
