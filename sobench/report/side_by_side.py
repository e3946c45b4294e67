"""Two sides row by row, for people and for files."""

from __future__ import annotations

import math
from typing import Any

from sobench.compare.differences import MetricPair
from sobench.compare.reasons import by_reason
from sobench.compare.side_by_side import RowPair, SideBySide
from sobench.metrics.table import COST_METRICS, SCORE_FORMAT, Metric
from sobench.report.sheet import Sheet, Table
from sobench.suite.external import shown_label

_NOT_SET = "not set"


def side_by_side_sheet(compared: SideBySide, metrics: tuple[str, ...]) -> Sheet:
    """A table for each metric, then costs and settings that differ, and what else to know.

    Args:
        metrics: those that are shown to people; files have all that were compared.
    """
    tables = [_metric_table(compared, metric) for metric in metrics]
    tables += [_cost_table(compared), _settings_table(compared)]
    return Sheet(
        title=f"A: {compared.names[0]}   B: {compared.names[1]}   ({compared.protocol})",
        tables=tuple(table for table in tables if table.rows or table.lines),
        lines=tuple(_lines(compared)),
        csv=tuple(row for pair in compared.rows for row in _csv_rows(pair)),
        json=_json(compared),
    )


def _metric_table(compared: SideBySide, metric: str) -> Table:
    rows = tuple(
        (shown_label(row.label, compared.external), *_metric_cells(row, row.metrics[metric]))
        for row in compared.rows
    )
    headings = ("row", "A", "B", "B - A", "95 % interval", "p (Holm)")
    return Table(f"{metric}: B - A with its 95 % interval", headings, rows)


def _metric_cells(row: RowPair, pair: MetricPair) -> list[str]:
    found = pair.difference
    values = [_number(pair.a), _number(pair.b)]
    if row.is_same:
        return [*values, "same", "", ""]
    interval = "-"
    if not math.isnan(found.low):
        interval = f"{_signed(found.low)} to {_signed(found.high)}"
    p = found.p if math.isnan(found.adjusted) else found.adjusted
    return [*values, _signed(found.mean), interval, "-" if math.isnan(p) else f"{p:.2g}"]


def _cost_table(compared: SideBySide) -> Table:
    """Each cost once where A and B agree in what is printed, else as ``A -> B``."""
    shown = [
        cost
        for cost in COST_METRICS
        if any(v is not None for row in compared.rows for v in row.costs.get(cost.name, ()))
    ]
    rows = tuple(
        (shown_label(row.label, compared.external), *(_cost_cell(row, cost) for cost in shown))
        for row in compared.rows
    )
    headings = ("row", *(cost.title for cost in shown))
    return Table("Costs, as A -> B where they differ", headings, rows if shown else ())


def _cost_cell(row: RowPair, cost: Metric) -> str:
    a, b = (
        "-" if value is None else cost.format.format(value)
        for value in row.costs.get(cost.name, (None, None))
    )
    return a if a == b else f"{a} -> {b}"


def _settings_table(compared: SideBySide) -> Table:
    differing = [("all rows", key, *values) for key, values in compared.settings.items()]
    differing += [
        (shown_label(row.label, compared.external), key, *values)
        for row in compared.rows
        for key, values in row.settings.items()
    ]
    rows = tuple((where, key, a or _NOT_SET, b or _NOT_SET) for where, key, a, b in differing)
    lines = () if rows else ("the settings of A and B are the same in every row",)
    return Table("Settings that differ", ("of", "key", "A", "B"), rows, lines, named=2)


def _lines(compared: SideBySide) -> list[str]:
    lines = []
    if compared.is_same:
        lines.append("A and B hold the same numbers in every row that both have")
    elif any(row.is_same for row in compared.rows):
        same = ", ".join(row.label for row in compared.rows if row.is_same)
        lines.append(f"A and B hold the same numbers: {same}")
    tested = [row for row in compared.rows if row.is_paired is not None and not row.is_same]
    if tested:
        how = "paired over images" if all(row.is_paired for row in tested) else "over images"
        lines.append(
            f"intervals: {how}, and over seeds where there are several; p of no difference, with "
            f"Holm's correction over {len(tested)} rows"
        )
    lines += compared.notes
    lines += [f"only in A; in B {line}" for line in by_reason(compared.only_a)]
    lines += [f"only in B; in A {line}" for line in by_reason(compared.only_b)]
    for name, (a, b) in compared.provenance.items():
        lines.append(f"{name}: {a}" if a == b else f"{name}: {a} in A, {b} in B")
    return lines


def _csv_rows(row: RowPair) -> list[dict[str, Any]]:
    """A row for each metric, with the columns of ``_metric_json``."""
    return [
        {"row": row.label, "metric": name} | _metric_json(pair, none="")
        for name, pair in row.metrics.items()
    ]


def _metric_json(pair: MetricPair, none: str | None = None) -> dict[str, Any]:
    found = pair.difference
    values = {
        "a": pair.a,
        "b": pair.b,
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "p_holm": found.adjusted,
    }
    return {name: none if math.isnan(value) else value for name, value in values.items()}


def _json(compared: SideBySide) -> dict[str, Any]:
    return {
        "a": compared.names[0],
        "b": compared.names[1],
        "protocol": compared.protocol,
        "same_numbers": compared.is_same,
        "rows": [
            {
                "row": row.label,
                "seeds": {"a": row.seeds[0], "b": row.seeds[1]},
                "paired": row.is_paired,
                "same_numbers": row.is_same,
                "metrics": {name: _metric_json(pair) for name, pair in row.metrics.items()},
                "costs": {name: {"a": a, "b": b} for name, (a, b) in row.costs.items()},
                "settings": _differing_json(row.settings),
            }
            for row in compared.rows
        ],
        "settings": _differing_json(compared.settings),
        "only_a": compared.only_a,
        "only_b": compared.only_b,
        "provenance": _differing_json(compared.provenance),
        "notes": compared.notes,
        "external": compared.external,
    }


def _differing_json(differing: dict[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    return {key: {"a": a, "b": b} for key, (a, b) in differing.items()}


def _number(value: float) -> str:
    return "-" if math.isnan(value) else SCORE_FORMAT.format(value)


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.3f}"
