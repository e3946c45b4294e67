"""The tables of the page, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from sobench.compare.error_types import KINDS, Errors
from sobench.compare.found import Found
from sobench.compare.leaderboard import Leaderboard, Row
from sobench.compare.tiers import ALPHA
from sobench.metrics.table import SCORE_FORMAT
from sobench.report.beneath import size_columns
from sobench.report.columns import fitting, places, shown_columns
from sobench.report.html.charts import Shown
from sobench.report.view import View

LETTERS = 152
"""Characters of the leaderboard's line on a screen 1280 pixels wide."""

LONGEST_LABEL = 26
"""Characters of a row's name in a line; longer ones go on in the next."""


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what stands in it.
        spread: over seeds, beneath it; empty for none.
        value: what the column is sorted by; ``None`` comes last.
        mark: ``best`` or ``second`` of its column, or empty.
        share: of the column's scale, 0..1, for a shade or a bar; ``None`` for neither.
        row: number of the row of the page that it names; ``None`` if it names none.
        notes: numbers of footnotes.
    """

    text: str
    value: float | str | None = None
    spread: str = ""
    mark: str = ""
    share: float | None = None
    row: int | None = None
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Column:
    """A heading.

    Attributes:
        title: what it says when it is pointed at.
        numeric: whether its cells are numbers.
        is_further: whether it is only shown when it is asked for.
    """

    text: str
    title: str = ""
    numeric: bool = True
    is_further: bool = False


@dataclass(frozen=True)
class Grid:
    """A table that can be sorted by any column; ``form`` is its class in the style sheet."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    form: str = ""

    @property
    def further(self) -> int:
        """How many columns are only shown when they are asked for."""
        return sum(column.is_further for column in self.columns)


def footnotes(board: Leaderboard) -> list[tuple[str, list[str]]]:
    """Everything that a shown row does otherwise, once, with the labels of those rows."""
    texts: dict[str, list[str]] = {}
    for row in board.rows:
        for text in board.deviations.get(row["method"], ()):
            texts.setdefault(text, []).append(row["method"])
    return list(texts.items())


def leaderboard_grid(board: Leaderboard, shown: Shown) -> Grid:
    """Tier, row, metrics and costs, with the best and the second best of each column marked.

    Columns that have no room on a usual screen are marked as further ones.
    """
    notes = footnotes(board)
    usual = [
        column
        for column in shown_columns(board, View())[0]
        # Footnotes stand behind labels, and spreads beneath their means.
        if column.name != "notes" and not column.name.endswith("_std")
    ]
    kept, _ = fitting(usual, LETTERS, LONGEST_LABEL)
    columns, cells = [], []
    for column in usual:
        title, values = _explained(board, column.name), _sorted_by(board, column.name)
        columns.append(Column(column.title, title, not column.is_text, column not in kept))
        spreads = [_spread(row, column.name) for row in board.rows]
        cells.append([
            Cell(text, value, spread, column.place(index))
            for index, (text, value, spread) in enumerate(
                zip(column.cells, values, spreads, strict=True)
            )
        ])  # fmt: skip
    rows = []
    for row, of_row in zip(board.rows, zip(*cells, strict=True), strict=True):
        label = str(row["method"])
        own = tuple(number for number, (_, labels) in enumerate(notes, 1) if label in labels)
        rows.append(
            tuple(
                replace(cell, row=shown[label].number, notes=own)
                if column.text == "method"
                else cell
                for column, cell in zip(columns, of_row, strict=True)
            )
        )
    return Grid(tuple(columns), tuple(rows), "leaderboard")


def _explained(board: Leaderboard, column: str) -> str:
    """What a heading says when it is pointed at."""
    told = {
        "tier": "rows of one tier cannot be told apart",
        board.metrics[0]: "the metric that ranks; ± the spread over seeds",
    }
    told |= {c.name: "; ".join(filter(None, (c.unit, c.footnote))) for c in board.costs}
    return told.get(column, "")


def _sorted_by(board: Leaderboard, column: str) -> list[float | str | None]:
    """What the rows are sorted by in a column."""
    if column == "tier":
        tiers = (board.verdict.tiers.get(row["method"], ()) for row in board.rows)
        return [float(numbers[0]) if numbers else None for numbers in tiers]
    if column.endswith("_interval"):
        metric, estimates = column.removesuffix("_interval"), board.verdict.estimates
        of_rows = (estimates.get(row["method"], {}).get(metric) for row in board.rows)
        return [_or_none(found and found.low) for found in of_rows]
    if column == "method":
        return [str(row["method"]) for row in board.rows]
    return [_or_none(row.get(column)) for row in board.rows]


def _spread(row: Row, column: str) -> str:
    """The spread over seeds of a metric; empty if there is none."""
    spread = row.get(f"{column}_std")
    return "" if spread is None else SCORE_FORMAT.format(spread)


def further_grid(board: Leaderboard, shown: Shown) -> Grid | None:
    """The metrics of further tests; ``None`` if there are none."""
    headings, lines = size_columns(board)
    columns = tuple(Column(name, numeric=name in board.metrics) for name in headings)
    values = [
        [_or_none(row.get(name)) for name in headings[2:]] for _, row in board.sizes.iterrows()
    ]
    rows = tuple(
        (
            Cell(shown[label].name, label, row=shown[label].number),
            Cell(tested, tested),
            *(Cell(text, value) for text, value in zip(texts, of_row, strict=True)),
        )
        for (label, tested, *texts), of_row in zip(lines, values, strict=True)
    )
    return Grid(columns, rows) if rows else None


def class_grid(board: Leaderboard, numbers: Mapping[str, int]) -> Grid:
    """Classes downwards, rows across: AP, shaded; and how far the rows lie apart.

    Args:
        numbers: class -> how many objects there are; empty if unknown.
    """
    by_class = board.per_class.set_index("method")
    labels = [str(label) for label in by_class.index]
    highest = by_class.max().max()
    columns = [Column("class", "", False)]
    columns += [Column("objects")] if numbers else []
    columns += [Column(board.shown_label(label)) for label in labels]
    columns += [Column("spread", "largest less smallest")]
    rows = []
    for name in by_class.columns:
        values = [_or_none(value) for value in by_class[name]]
        texts = [_score_text(value) for value in values]
        marks = places(values, texts, True) or ("",) * len(texts)
        shaded = [
            Cell(text, v, mark=mark, share=v / highest if v is not None and highest else None)
            for text, v, mark in zip(texts, values, marks, strict=True)
        ]
        defined = [value for value in values if value is not None]
        spread = max(defined) - min(defined) if defined else None
        objects = numbers.get(str(name))
        rows.append((
            Cell(str(name), str(name)),
            *([Cell("-" if objects is None else str(objects), objects)] if numbers else []),
            *shaded,
            Cell(_score_text(spread), spread),
        ))  # fmt: skip
    return Grid(tuple(columns), tuple(rows), "heat")


def error_grids(errors: Errors, shown: Shown) -> tuple[Grid, Grid]:
    """What each kind of error costs, and how many there are: rows downwards, kinds across."""
    columns = (Column("method", "", False), *(Column(kind, KINDS[kind]) for kind in KINDS))

    def grid(value_of: Callable[[str, str], float], text: str) -> Grid:
        most = max((value_of(label, kind) for label in errors for kind in KINDS), default=0.0)
        rows = tuple(
            (
                Cell(shown[label].name, label, row=shown[label].number),
                *(
                    Cell(text.format(value), value, share=max(value, 0.0) / most if most else 0.0)
                    for value in (value_of(label, kind) for kind in KINDS)
                ),
            )
            for label in errors
        )
        return Grid(columns, rows, "bars")

    return (
        grid(lambda label, kind: errors[label][kind].lost, SCORE_FORMAT),
        grid(lambda label, kind: errors[label][kind].count, "{:.1f}"),
    )


@dataclass(frozen=True)
class PairMatrix:
    """Every two rows.

    Attributes:
        labels: of the tested rows as tables show them, best first.
        cells: ``[n][n]``, row minus column; ``None`` on the diagonal.
        details: "i,j" -> what is known of the pair, for the page's script.
    """

    labels: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    details: dict[str, dict[str, Any]]


def pair_matrix(board: Leaderboard, found: Found | None) -> PairMatrix | None:
    """Differences in the metric that ranks, and who finds what."""
    labels, metric = board.verdict.labels, board.metrics[0]
    names = tuple(map(board.shown_label, labels))
    if len(labels) < 2:
        return None
    pairs = {(pair.first, pair.second): pair for pair in found.pairs} if found else {}
    cells: list[tuple[Cell | None, ...]] = []
    details: dict[str, dict[str, Any]] = {}
    for i, first in enumerate(labels):
        of_row: list[Cell | None] = []
        for j, second in enumerate(labels):
            if i == j:
                of_row.append(None)
                continue
            gap = board.verdict.difference(first, second, metric)
            mark = ("better" if gap.mean > 0 else "worse") if gap.adjusted < ALPHA else ""
            of_row.append(Cell(_signed(gap.mean), _or_none(gap.mean), mark=mark))
            details[f"{i},{j}"] = {
                "first": names[i], "second": names[j], "metric": metric,
                "mean": _signed(gap.mean), "low": _signed(gap.low), "high": _signed(gap.high),
                "p": _p_text(gap.p), "adjusted": _p_text(gap.adjusted), "apart": bool(mark),
                "found": _found(pairs, first, second),
            }  # fmt: skip
        cells.append(tuple(of_row))
    return PairMatrix(names, tuple(cells), details)


def _found(pairs: Mapping[tuple[str, str], Any], first: str, second: str) -> list[Any] | None:
    """Numbers of objects that both find, the first alone, the second alone, neither; by size."""
    pair, swap = pairs.get((first, second)), False
    if pair is None:
        pair, swap = pairs.get((second, first)), True
    if pair is None:
        return None
    parts = {"all objects": pair.total, **{f"size {k}": v for k, v in pair.by_size.items()}}
    return [
        [name, c.both, *((c.second, c.first) if swap else (c.first, c.second)), c.neither]
        for name, c in parts.items()
        if c.objects
    ]


def _score_text(value: float | None) -> str:
    return "-" if value is None else SCORE_FORMAT.format(value)


def _signed(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:+.3f}".replace("-", "−")


def _p_text(value: float) -> str:
    if pd.isna(value):
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _or_none(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
