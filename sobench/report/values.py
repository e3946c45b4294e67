"""A leaderboard as CSV and JSON: complete, with all digits, whatever is shown to people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sobench.compare.intervals import Estimate
from sobench.compare.leaderboard import Leaderboard, Row, defined_or_none
from sobench.compare.verdict import Verdict
from sobench.report.markup import csv_text
from sobench.report.view import View
from sobench.runs.record import nan_to_none


def csv(board: Leaderboard, view: View | None = None) -> str:
    """The table with all digits, ``AP:<class>`` and ``provenance:<name>``.

    Tested rows have ``<metric>_low``, ``_high`` and ``_se``, those of ``AP:<class>`` too, and
    against every row the difference in the metric that ranks and its adjusted p value,
    ``difference:<method>`` and ``p:<method>``. By seed it has a row for each run of the plan, those
    without a result too, with ``state`` and ``reason``. ``partial`` says why the result is not that
    of the suite, ``narrowed`` which part of its rows and seeds was asked for, ``missing`` which
    runs of the row have no result.
    """
    by_seed = view is not None and view.by_seed
    rows = [dict(row) for row in (board.run_rows if by_seed else board.rows)]
    if not by_seed:
        by_class = {row["method"]: row for row in board.class_rows}
        tested = _tested_columns(board)
        for row in rows:
            of_classes = by_class[row["method"]].items()
            row |= {
                f"{board.class_metric}:{name}": value
                for name, value in of_classes
                if name != "method"
            }
            row |= tested.get(row["method"], {})
            row["missing"] = "; ".join(_missing(board, row["method"]))
    for row in rows:
        row["deviations"] = "; ".join(board.deviations.get(row["method"], ()))
        row["external"] = row["method"] in board.external
        row["learning_rate"] = board.learning_rates.get(row["method"])
        row["partial"] = f"with {'; '.join(board.partial)}" if board.partial else ""
        row["narrowed"] = "; ".join(board.narrowed)
        row |= {f"provenance:{name}": value for name, value in board.provenance.items()}
    return csv_text(_with_all_keys(rows))


def as_json(board: Leaderboard, _view: View | None = None) -> str:
    """The whole leaderboard, with ``null`` for undefined values; the same for every view."""
    content = {
        "title": board.title,
        "partial": board.partial,
        "narrowed": board.narrowed,
        "metrics": board.metrics,
        "rows": board.rows,
        "runs": board.run_rows,
        "intervals": _intervals(board.verdict),
        "pairs": _pairs(board.verdict),
        "tiers": board.verdict.tiers,
        "rule": board.verdict.rule,
        "fairness": board.fairness,
        "per_class_ap": board.class_rows,
        "sizes": board.size_rows,
        "deviations": board.deviations,
        "learning_rates": board.learning_rates,
        "missing": board.missing,
        "provenance": board.provenance,
        "notes": board.notes,
        "external": board.external,
    }
    return json.dumps(nan_to_none(content), indent=1, allow_nan=False) + "\n"


def _missing(board: Leaderboard, label: str) -> list[str]:
    names = [(name.rpartition(" seed "), reason) for name, reason in board.missing.items()]
    return [f"seed {seed}: {reason}" for (row, _, seed), reason in names if row == label]


def _with_all_keys(rows: Sequence[Row]) -> list[Row]:
    """The same rows with the same keys, in the order in which they come up."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key) for key in keys} for row in rows]


def _tested_columns(board: Leaderboard) -> dict[str, Row]:
    """Label -> the further columns of its row in CSV."""
    verdict, ranking = board.verdict, board.metrics[0]
    of_class = f"{board.class_metric}:"
    shown = [name for name in verdict.metrics if ":" not in name or name.startswith(of_class)]
    table_rows: dict[str, Row] = {}
    for label in verdict.labels:
        row: Row = {}
        for name in shown:
            found = _values(verdict.estimates[label][name], ("low", "high", "se"))
            row |= {f"{name}_{key}": value for key, value in found.items()}
        for other in verdict.labels:
            against = None if other == label else verdict.difference(label, other, ranking)
            row[f"difference:{other}"] = defined_or_none(against.mean) if against else None
            row[f"p:{other}"] = defined_or_none(against.adjusted) if against else None
        table_rows[label] = row
    return table_rows


def _intervals(verdict: Verdict) -> dict[str, dict[str, Row]]:
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


def _values(found: Estimate, keys: Sequence[str]) -> Row:
    """Attributes of an estimate, ``None`` where undefined."""
    return {key: defined_or_none(getattr(found, key)) for key in keys}
