"""A leaderboard as Markdown, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
from tabulate import tabulate

from sobench.compare.leaderboard import Leaderboard

COST_FORMATS = {
    "params_m": ("params M", "{:.2f}"),
    "gflops": ("GFLOPs", "{:.2f}"),
    "latency_ms": ("ms", "{:.1f}"),
    "train_img_s": ("img/s", "{:.1f}"),
    "train_min": ("train min", "{:.1f}"),
    "extra_min": ("of it extra", "{:.1f}"),
}
"""Columns of costs. What trained beyond one training, teachers and stages, is a part of it all."""


def columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells as people read them: three decimals, the spread behind the mean."""
    costs = [n for n in COST_FORMATS if n in board.table and board.table[n].notna().any()]
    headings = ["#", "method", *board.metrics, *(COST_FORMATS[name][0] for name in costs)]
    rows = []
    for _, row in board.table.iterrows():
        cells = [str(row["rank"]), str(row["method"])]
        cells += [_metric(row, name) for name in board.metrics]
        cells += [_number(row[name], COST_FORMATS[name][1]) for name in costs]
        rows.append(cells)
    return headings, rows


def size_columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the metrics at further input sizes; no rows if there are none."""
    rows = [
        [str(row["method"]), str(row["input"]), *(_metric(row, name) for name in board.metrics)]
        for _, row in board.sizes.iterrows()
    ]
    return ["method", "input", *board.metrics], rows


def class_columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the AP of every class."""
    names = [str(name) for name in board.per_class.columns]
    rows = [
        [str(row["method"]), *(_number(row[name], "{:.3f}") for name in names[1:])]
        for _, row in board.per_class.iterrows()
    ]
    return names, rows


def remarks(board: Leaderboard) -> list[str]:
    """What stands beneath the table: notes, deviations, missing runs, provenance."""
    lines = list(board.notes)
    for label, deviations in board.deviations.items():
        lines += [f"{label} deviates: {deviation}" for deviation in deviations]
    lines += [f"{name}: {reason}" for name, reason in board.missing.items()]
    return lines + [f"{name}: {value}" for name, value in board.provenance.items() if value]


def markdown(board: Leaderboard) -> str:
    """The table, the AP by class, and the remarks as a list."""
    parts = [f"## {board.title}", _pipes(*columns(board))]
    if len(board.sizes):
        parts += ["Tested at other input sizes:", _pipes(*size_columns(board))]
    parts += ["AP by class:", _pipes(*class_columns(board))]
    parts.append("\n".join(f"- {line}" for line in remarks(board)))
    return "\n\n".join(parts) + "\n"


def csv(board: Leaderboard) -> str:
    """The table with all digits, the spreads, ``AP:<class>`` and ``provenance:<what>``."""
    by_class = board.per_class.set_index("method").add_prefix("AP:")
    table = board.table.join(by_class, on="method")
    for name, value in board.provenance.items():
        table[f"provenance:{name}"] = value
    text: str = table.to_csv(index=False)
    return text


def as_json(board: Leaderboard) -> str:
    """The whole leaderboard, ``null`` for what is not defined."""
    content = {
        "title": board.title,
        "metrics": board.metrics,
        "rows": _rows(board.table),
        "per_class_ap": _rows(board.per_class),
        "sizes": _rows(board.sizes),
        "deviations": board.deviations,
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


def _pipes(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a bar in a name must not begin a new cell."""
    plain = [[cell.replace("|", r"\|") for cell in row] for row in (headings, *rows)]
    return tabulate(plain[1:], plain[0], tablefmt="pipe", disable_numparse=True)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in table.to_dict(orient="records")
    ]


def _metric(row: pd.Series[Any], name: str) -> str:
    text = _number(row[name], "{:.3f}")
    spread = row.get(f"{name}_std")
    return text if spread is None or pd.isna(spread) else f"{text} ±{spread:.3f}"


def _number(value: Any, form: str) -> str:
    return "-" if value is None or pd.isna(value) else form.format(value)
