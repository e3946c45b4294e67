"""A leaderboard as Markdown, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
from tabulate import tabulate

from sobench.compare.leaderboard import Leaderboard
from sobench.metrics.table import COST_METRICS, SCORE_FORMAT, Metric
from sobench.suite.tuned import learning_rate_lines
from sobench.text import printable


def columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells as people read them: three decimals, the spread behind the mean."""
    costs = _shown_costs(board)
    headings = ["#", "method", *board.metrics, *(cost.title for cost in costs)]
    table_rows = []
    for _, row in board.table.iterrows():
        cells = [str(row["rank"]), str(row["method"])]
        cells += [_score(row, name) for name in board.metrics]
        cells += [_number(row[cost.name], cost.format) for cost in costs]
        table_rows.append(cells)
    return headings, table_rows


def footnotes(board: Leaderboard) -> list[str]:
    """Explanations of the columns that need one, of those that the table shows."""
    return [f"{cost.title}: {cost.footnote}" for cost in _shown_costs(board) if cost.footnote]


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
    """Headings and cells of the AP of every class."""
    headings = [str(name) for name in board.per_class.columns]
    table_rows = [
        [str(row["method"]), *(_number(row[name], SCORE_FORMAT) for name in headings[1:])]
        for _, row in board.per_class.iterrows()
    ]
    return headings, table_rows


def remarks(board: Leaderboard) -> list[str]:
    """The lines beneath all tables: notes, deviations, learning rates, missing runs, provenance."""
    lines = list(board.notes)
    for label, deviations in board.deviations.items():
        lines += [f"{label} deviates: {deviation}" for deviation in deviations]
    lines += learning_rate_lines(board.learning_rates)
    lines += [f"{name}: {reason}" for name, reason in board.missing.items()]
    return lines + [f"{name}: {value}" for name, value in board.provenance.items() if value]


def markdown(board: Leaderboard) -> str:
    """The tables with their headings and footnotes, and the remarks as a list."""
    blocks = [f"## {escaped(board.title)}", pipes(*columns(board)), *footnotes(board)]
    if len(board.sizes):
        blocks += ["Tested on other inputs:", pipes(*size_columns(board))]
    blocks += ["AP by class:", pipes(*class_columns(board))]
    blocks.append("\n".join(f"- {escaped(line)}" for line in remarks(board)))
    return "\n\n".join(blocks) + "\n"


def csv(board: Leaderboard) -> str:
    """The table with all digits, the spreads, ``AP:<class>`` and ``provenance:<name>``."""
    by_class = board.per_class.set_index("method").add_prefix("AP:")
    table = board.table.join(by_class, on="method")
    table["learning_rate"] = table["method"].map(board.learning_rates)
    for name, value in board.provenance.items():
        table[f"provenance:{name}"] = value
    text: str = table.map(_csv_cell).rename(columns=_csv_cell).to_csv(index=False)
    return text


def as_json(board: Leaderboard) -> str:
    """The whole leaderboard, with ``null`` for undefined values."""
    content = {
        "title": board.title,
        "metrics": board.metrics,
        "rows": _records(board.table),
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


def pipes(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, in which a bar in a name must not begin a new cell."""
    cells = [[escaped(cell) for cell in row] for row in (headings, *rows)]
    return tabulate(cells[1:], cells[0], tablefmt="pipe", disable_numparse=True)


_MARKED = str.maketrans({"&": "&amp;", "<": "&lt;"} | {mark: f"\\{mark}" for mark in "\\|`*["})
"""What begins HTML, cells, code, emphasis, links and images. Words need ``_``, which does no harm
within them."""


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return printable(text.translate(_MARKED))


def _csv_cell(value: Any) -> Any:
    """A cell that a spreadsheet shows as it is: an apostrophe keeps it from running a formula."""
    if not isinstance(value, str):
        return value
    return printable(f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value)


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
