"""A leaderboard as Markdown, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from sobench.compare.intervals import Estimate
from sobench.compare.leaderboard import Leaderboard
from sobench.compare.reasons import runs_by_reason
from sobench.compare.tiers import tier_text
from sobench.compare.verdict import Verdict
from sobench.metrics.table import COST_METRICS, SCORE_FORMAT, Metric
from sobench.report.markup import as_markdown, csv_cell, pipes
from sobench.suite.tuned import learning_rate_lines

INTERVAL = "95 % interval"
"""The heading of the interval of the metric that ranks."""


def columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells as people read them: three decimals, the spread behind the mean.

    The interval of the metric that ranks stands behind it, if there are any; the number of seeds
    is told unless every row has one.
    """
    costs = _shown_costs(board)
    ranking, *others = board.metrics
    seeds = ["seeds"] if board.table["seeds"].max() > 1 else []
    interval = [INTERVAL] if board.verdict.labels else []
    headings = ["tier", "method", *seeds, ranking, *interval, *others]
    headings += [cost.title for cost in costs]
    table_rows = []
    for _, row in board.table.iterrows():
        label = str(row["method"])
        cells = [tier_text(board.verdict.tiers.get(label, ())), label]
        cells += [str(row[name]) for name in seeds]
        cells.append(_score(row, ranking))
        cells += [interval_text(board.verdict, label, ranking) for _ in interval]
        cells += [_score(row, name) for name in others]
        cells += [_number(row[cost.name], cost.format) for cost in costs]
        table_rows.append(cells)
    return headings, table_rows


def interval_text(verdict: Verdict, label: str, metric: str) -> str:
    """The 95 % interval of a row's metric, such as ``[0.198, 0.246]``; ``-`` if it has none."""
    found = verdict.estimates.get(label, {}).get(metric)
    if found is None or pd.isna(found.low):
        return "-"
    return f"[{SCORE_FORMAT.format(found.low)}, {SCORE_FORMAT.format(found.high)}]"


def footnotes(board: Leaderboard) -> list[str]:
    """The rule of tiers, what is fair in the table, and explanations of columns that it shows."""
    costs = [f"{cost.title}: {cost.footnote}" for cost in _shown_costs(board) if cost.footnote]
    return [*board.verdict.rule, *board.fairness, *costs]


def _shown_costs(board: Leaderboard) -> list[Metric]:
    """The costs that at least one method has."""
    return [
        cost
        for cost in COST_METRICS
        if cost.name in board.table and board.table[cost.name].notna().any()
    ]


def size_columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the metrics of further tests; no rows if there are none."""
    table_rows = [
        [str(row["method"]), str(row["input"]), *(_score(row, name) for name in board.metrics)]
        for _, row in board.sizes.iterrows()
    ]
    return ["method", "input", *board.metrics], table_rows


def class_columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the scores of every class."""
    headings = [str(name) for name in board.per_class.columns]
    table_rows = [
        [str(row["method"]), *(_number(row[name], SCORE_FORMAT) for name in headings[1:])]
        for _, row in board.per_class.iterrows()
    ]
    return headings, table_rows


def remarks(board: Leaderboard) -> list[str]:
    """The lines beneath all tables: notes, deviations, learning rates, missing runs, provenance."""
    lines, shown = list(board.notes), set(board.table["method"])
    for label, deviations in board.deviations.items():
        told = deviations if label in shown else ()
        lines += [f"{label} deviates: {deviation}" for deviation in told]
    lines += learning_rate_lines(board.learning_rates)
    lines += runs_by_reason(board.missing)
    return lines + [f"{name}: {value}" for name, value in board.provenance.items() if value]


def markdown(board: Leaderboard) -> str:
    """The tables with their headings and footnotes, and the remarks as a list."""
    blocks = [f"## {as_markdown(board.title)}", pipes(*columns(board))]
    blocks += map(as_markdown, footnotes(board))
    if len(board.sizes):
        blocks += ["Tested on other inputs:", pipes(*size_columns(board))]
    blocks += [f"{board.class_metric} by class:", pipes(*class_columns(board))]
    blocks.append("\n".join(f"- {as_markdown(line)}" for line in remarks(board)))
    return "\n\n".join(blocks) + "\n"


def csv(board: Leaderboard) -> str:
    """The table with all digits, the spreads, ``AP:<class>`` and ``provenance:<name>``.

    Tested rows have ``<metric>_low``, ``_high`` and ``_se``, those of ``AP:<class>`` too, and
    against every row the difference in the metric that ranks and its adjusted p value,
    ``difference:<method>`` and ``p:<method>``.
    """
    by_class = board.per_class.set_index("method").add_prefix(f"{board.class_metric}:")
    table = board.table.join(by_class, on="method")
    if board.verdict.labels:
        table = table.join(pd.DataFrame(_tested_columns(board)).T, on="method")
    table["learning_rate"] = table["method"].map(board.learning_rates)
    for name, value in board.provenance.items():
        table[f"provenance:{name}"] = value
    text: str = table.map(csv_cell).rename(columns=csv_cell).to_csv(index=False)
    return text


def as_json(board: Leaderboard) -> str:
    """The whole leaderboard, with ``null`` for undefined values."""
    content = {
        "title": board.title,
        "metrics": board.metrics,
        "rows": _records(board.table),
        "intervals": _intervals(board.verdict),
        "pairs": _pairs(board.verdict),
        "tiers": board.verdict.tiers,
        "rule": board.verdict.rule,
        "fairness": board.fairness,
        "per_class_ap": _records(board.per_class),
        "sizes": _records(board.sizes),
        "deviations": board.deviations,
        "learning_rates": board.learning_rates,
        "missing": board.missing,
        "provenance": board.provenance,
        "notes": board.notes,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


FORMATS: dict[str, tuple[str, Callable[[Leaderboard], str]]] = {
    "md": ("md", markdown),
    "csv": ("csv", csv),
    "json": ("json", as_json),
}


def _tested_columns(board: Leaderboard) -> dict[str, dict[str, float | None]]:
    """Label -> the further columns of its row in CSV."""
    verdict, ranking = board.verdict, board.metrics[0]
    shown = [
        name
        for name in verdict.metrics
        if ":" not in name or name.startswith(f"{board.class_metric}:")
    ]
    table_rows: dict[str, dict[str, float | None]] = {}
    for label in verdict.labels:
        row: dict[str, float | None] = {}
        for name in shown:
            found = verdict.estimates[label][name]
            row |= {f"{name}_{key}": getattr(found, key) for key in ("low", "high", "se")}
        for other in verdict.labels:
            against = None if other == label else verdict.difference(label, other, ranking)
            row[f"difference:{other}"] = against.mean if against else None
            row[f"p:{other}"] = against.adjusted if against else None
        table_rows[label] = row
    return table_rows


def _intervals(verdict: Verdict) -> dict[str, dict[str, dict[str, float | None]]]:
    """Label -> metric -> what is known of its mean."""
    return {
        label: {
            name: _values(found, ("mean", "low", "high", "se", "df", "std"))
            for name, found in of_row.items()
        }
        for label, of_row in verdict.estimates.items()
    }


def _pairs(verdict: Verdict) -> list[dict[str, Any]]:
    """Each pair of rows, the better one first, with all metrics of the first minus the second."""
    keys = ("mean", "low", "high", "se", "df", "p", "adjusted")
    return [
        {
            "first": first,
            "second": second,
            "metrics": {name: _values(found, keys) for name, found in of_pair.items()},
        }
        for (first, second), of_pair in verdict.pairs.items()
    ]


def _values(found: Estimate, keys: Sequence[str]) -> dict[str, float | None]:
    """Attributes of an estimate, ``None`` where undefined."""
    values = {key: getattr(found, key) for key in keys}
    return {key: None if pd.isna(value) else value for key, value in values.items()}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A dictionary for each row, with ``None`` for empty cells."""
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in table.to_dict(orient="records")
    ]


def _score(row: pd.Series[Any], name: str) -> str:
    """The mean over seeds, with its spread if there is more than one."""
    text = _number(row[name], SCORE_FORMAT)
    spread = row.get(f"{name}_std")
    has_spread = spread is not None and not pd.isna(spread)
    return f"{text} ±{SCORE_FORMAT.format(spread)}" if has_spread else text


def _number(value: Any, format_: str) -> str:
    return "-" if value is None or pd.isna(value) else format_.format(value)
