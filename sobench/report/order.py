"""Another order of the rows of a leaderboard than that of the metric that ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sobench.compare.leaderboard import Leaderboard, Row
from sobench.metrics.table import COST_METRICS
from sobench.report.columns import column_name


def ordered_by(board: Leaderboard, column: str) -> Leaderboard:
    """The rows of all tables sorted by a column: the best first, words by the alphabet.

    Tiers, pairs and intervals are as before. Rows without a value come last.

    Args:
        column: name or heading of a metric or a cost, or ``method``.

    Raises:
        RequestError: there is no such column.
    """
    metrics = {metric.name: metric for metric in (*board.scores, *COST_METRICS)}
    titles = {"method": "method"} | {name: metric.title for name, metric in metrics.items()}
    name = column_name(column, titles, "--sort")
    if name == "method":
        rows = sorted(board.rows, key=lambda row: str(row["method"]))
        run_rows = sorted(board.run_rows, key=lambda row: (str(row["method"]), row["seed"]))
    else:
        falling = metrics[name].higher_is_better
        rows = _sorted(board.rows, name, falling)
        run_rows = _sorted(board.run_rows, name, falling)
    places = {row["method"]: place for place, row in enumerate(rows)}
    class_rows, size_rows = (
        tuple(sorted(of_table, key=lambda row: places[row["method"]]))
        for of_table in (board.class_rows, board.size_rows)
    )
    return replace(
        board, rows=tuple(rows), run_rows=tuple(run_rows), class_rows=class_rows,
        size_rows=size_rows,
    )  # fmt: skip


def _sorted(rows: Sequence[Row], name: str, falling: bool) -> list[Row]:
    """By a value; rows of equal ones stay in their order."""
    known = [row for row in rows if row.get(name) is not None]
    known.sort(key=lambda row: row[name], reverse=falling)
    return known + [row for row in rows if row.get(name) is None]
