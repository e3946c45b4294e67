"""The fingerprint of a dataset, with progress on stderr while new files are hashed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sobench.data.annotations import Split
from sobench.data.fingerprint import BOTH, fingerprint
from sobench.report.terminal import PlainConsole
from sobench.suite.datasets import DataSpec

_MANY = 1000
"""Files that take long enough to read for a line without a terminal."""


def shown_fingerprint(
    spec: DataSpec,
    trust_mtime: bool,
    splits: Sequence[Split] = BOTH,
    most: tuple[int, int] | None = None,
) -> str:
    """The fingerprint of a dataset; without a terminal, a line tells of thousands of new files.

    Args:
        trust_mtime, splits, most: as of ``fingerprint``.

    Raises:
        DataError: a file or folder is missing or cannot be read.
        NewFiles: more files would have to be hashed than ``most`` allows.
    """
    console = PlainConsole(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True,
        disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        bar = progress.add_task("hash new files of the dataset", total=None, visible=False)

        def on_files(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total, visible=True)
            if done == 1 and total >= _MANY and not console.is_terminal:
                text = f"hashing {total} new files of the dataset; they are remembered"
                console.print(text)

        return fingerprint(spec, trust_mtime, on_files, splits, most)
