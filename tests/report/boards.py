"""Leaderboards from records that were never trained for."""

from __future__ import annotations

from typing import Any

from sobench.compare import leaderboard
from sobench.compare.leaderboard import Leaderboard
from sobench.suite.plan import plan
from tests.records import failed_record, record_of, scored, states_of
from tests.tiny_suite import tiny_suite

HOSTILE = ("=1+1", "@SUM(A1)", "-[/x] \x1b[2J", "<img src=x>", "![a](http://b) `c` *d* & \\|")


def board_of(seeds: int, **changes: Any) -> Leaderboard:
    """Two methods that have all seeds, one that has none, one without scores."""
    rows = ["fpn", {"name": "ssd", "label": "SSD | größer"}, {"name": "ssd", "anchors": "paper"}]
    labels = ["fpn", "SSD | größer", "ssd"]
    aps = dict(zip(labels, (1 / 3, 0.7, None), strict=True))
    suite = tiny_suite(**{"methods": rows, "seeds": list(range(seeds))} | changes)
    runs = plan(suite, "aaaa")
    records = [
        failed_record(run)
        if (ap := aps[run.entry.label]) is None
        else record_of(run, ap + run.seed / 7)
        for run in runs
    ]
    return leaderboard.build(runs, states_of(runs, records))


def hostile_board() -> Leaderboard:
    """Classes of names that somebody made up; labels with control characters are refused."""
    runs = plan(tiny_suite(methods=[{"name": "fpn", "label": "=cmd|' /C calc'!A0"}]), "aaaa")
    names = {name: {"AP": 0.1} for name in HOSTILE}
    return leaderboard.build(
        runs, states_of(runs, [record_of(runs[0], scored=scored(0.4, per_class=names))])
    )
