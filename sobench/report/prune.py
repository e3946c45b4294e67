"""What can be deleted, by kind, with the bytes that it frees and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from sobench.report.progress import duration
from sobench.report.terminal import print_table
from sobench.runs.prune import KINDS, Removable


def print_removable(files: Sequence[Removable], console: Console, list_files: bool) -> None:
    """A row for each kind, and what its deletion costs; with ``list_files`` every file as well."""
    rows, lines = [], []
    for kind, cost in KINDS.items():
        of_kind = [file for file in files if file.kind == kind]
        if not of_kind:
            continue
        rows.append([kind, str(len(of_kind)), size(sum(file.size for file in of_kind))])
        seconds = sum(file.train_s for file in of_kind)
        more = f", which took {duration(seconds)} in all" if seconds else ""
        lines.append(f"{kind}: {cost}{more}")
        if list_files:
            lines += [f"  {file.path} ({size(file.size)})" for file in of_kind]
    total = size(sum(file.size for file in files))
    print_table(console, ["kind", "files", "size"], rows, f"Can be deleted: {total}")
    for line in lines:
        console.print(Text(line, style="dim"), soft_wrap=True)


def size(count: int) -> str:
    """Bytes in a unit that leaves few digits."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"
