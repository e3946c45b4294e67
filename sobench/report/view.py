"""What of a leaderboard is shown to people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """What is shown, and what is left out where there is no room.

    Attributes:
        sort: name or heading of the column that orders the rows; empty for the metric that ranks.
        columns: names or headings of the columns, in this order; without any, the usual ones.
        per_class: whether a table by class follows.
        by_seed: a row for each run in place of the means over seeds.
        wide: every usual column, whatever the width.
    """

    sort: str = ""
    columns: tuple[str, ...] = ()
    per_class: bool = False
    by_seed: bool = False
    wide: bool = False
