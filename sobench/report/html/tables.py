"""The tables of the page, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from sobench.compare.error_types import KINDS, Errors
from sobench.compare.found import Found
from sobench.compare.leaderboard import Leaderboard
from sobench.compare.tiers import ALPHA, tier_text
from sobench.metrics.table import COST_METRICS, SCORE_FORMAT
from sobench.report.beneath import size_columns
from sobench.report.columns import INTERVAL, interval_text


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
    """

    text: str
    title: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Grid:
    """A table that can be sorted by any column; ``form`` is its class in the style sheet."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    form: str = ""


def footnotes(board: Leaderboard) -> list[tuple[str, list[str]]]:
    """Everything that a shown row does otherwise, once, with the labels of those rows."""
    texts: dict[str, list[str]] = {}
    for label in board.table["method"]:
        for text in board.deviations.get(str(label), ()):
            texts.setdefault(text, []).append(str(label))
    return list(texts.items())


def leaderboard_grid(board: Leaderboard, colours: Mapping[str, int]) -> Grid:
    """Tier, row, metrics and costs, with the best and the second best of each column marked."""
    notes = footnotes(board)
    ranking, *others = board.metrics
    columns = [Column("tier", "rows of one tier cannot be told apart"), Column("method", "", False)]
    cells: list[list[Cell]] = [[], []]
    for label in map(str, board.table["method"]):
        tiers = board.verdict.tiers.get(label, ())
        cells[0].append(Cell(tier_text(tiers), float(tiers[0]) if tiers else None))
        own = tuple(n for n, (_, labels) in enumerate(notes, 1) if label in labels)
        cells[1].append(Cell(board.shown_label(label), label, row=colours[label], notes=own))
    if board.table["seeds"].max() > 1:
        columns.append(Column("seeds"))
        cells.append([Cell(str(n), float(n)) for n in board.table["seeds"]])
    columns.append(Column(ranking, "the metric that ranks; ± the spread over seeds"))
    cells.append(_scores(board.table, ranking))
    if board.verdict.labels:
        columns.append(Column(INTERVAL))
        estimates = [
            board.verdict.estimates.get(str(x), {}).get(ranking) for x in board.table["method"]
        ]
        cells.append([
            Cell(interval_text(board.scores[0], found), _or_none(found and found.low))
            for found in estimates
        ])  # fmt: skip
    for name in others:
        columns.append(Column(name))
        cells.append(_scores(board.table, name))
    for cost in COST_METRICS:
        if cost.name in board.table and board.table[cost.name].notna().any():
            columns.append(Column(cost.title, "; ".join(filter(None, (cost.unit, cost.footnote)))))
            values = [_or_none(value) for value in board.table[cost.name]]
            of_cost = [Cell("-" if v is None else cost.format.format(v), v) for v in values]
            cells.append(marked(of_cost, cost.higher_is_better))
    return Grid(tuple(columns), tuple(zip(*cells, strict=True)), "leaderboard")


def further_grid(board: Leaderboard, colours: Mapping[str, int]) -> Grid | None:
    """The metrics of further tests; ``None`` if there are none."""
    headings, lines = size_columns(board)
    columns = tuple(Column(name, numeric=name in board.metrics) for name in headings)
    values = [
        [_or_none(row.get(name)) for name in headings[2:]] for _, row in board.sizes.iterrows()
    ]
    rows = tuple(
        (
            Cell(label, label, row=colours[label]),
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
        shaded = [
            Cell(_score_text(v), v, share=v / highest if v is not None and highest else None)
            for v in values
        ]
        defined = [value for value in values if value is not None]
        spread = max(defined) - min(defined) if defined else None
        objects = numbers.get(str(name))
        rows.append((
            Cell(str(name), str(name)),
            *([Cell("-" if objects is None else str(objects), objects)] if numbers else []),
            *marked(shaded, True),
            Cell(_score_text(spread), spread),
        ))  # fmt: skip
    return Grid(tuple(columns), tuple(rows), "heat")


def error_grids(errors: Errors, colours: Mapping[str, int]) -> tuple[Grid, Grid]:
    """What each kind of error costs, and how many there are: rows downwards, kinds across."""
    columns = (Column("method", "", False), *(Column(kind, KINDS[kind]) for kind in KINDS))

    def grid(value_of: Callable[[str, str], float], text: str) -> Grid:
        most = max((value_of(label, kind) for label in errors for kind in KINDS), default=0.0)
        rows = tuple(
            (
                Cell(label, label, row=colours[label]),
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
        labels: of the tested rows, best first.
        cells: ``[n][n]``, row minus column; ``None`` on the diagonal.
        details: "i,j" -> what is known of the pair, for the page's script.
    """

    labels: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    details: dict[str, dict[str, Any]]


def pair_matrix(board: Leaderboard, found: Found | None) -> PairMatrix | None:
    """Differences in the metric that ranks, and who finds what."""
    labels, metric = board.verdict.labels, board.metrics[0]
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
                "first": first, "second": second, "metric": metric,
                "mean": _signed(gap.mean), "low": _signed(gap.low), "high": _signed(gap.high),
                "p": _p_text(gap.p), "adjusted": _p_text(gap.adjusted), "apart": bool(mark),
                "found": _found(pairs, first, second),
            }  # fmt: skip
        cells.append(tuple(of_row))
    return PairMatrix(labels, tuple(cells), details)


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


def marked(cells: Sequence[Cell], higher_is_better: bool) -> list[Cell]:
    """The same cells with the best and the second best value marked.

    Nothing is marked where all are alike, and a score of 0 is nobody's merit.
    """
    values = sorted(
        {c.value for c in cells if isinstance(c.value, float) and c.value}, reverse=higher_is_better
    )
    if len({c.value for c in cells}) < 2:
        return list(cells)
    marks = dict(zip(values, ("best", "second"), strict=False))
    return [
        replace(c, mark=marks.get(c.value, "")) if isinstance(c.value, float) else c for c in cells
    ]


def _scores(table: pd.DataFrame, name: str) -> list[Cell]:
    cells = []
    spreads = table[f"{name}_std"] if f"{name}_std" in table else [None] * len(table)
    for mean, spread in zip(table[name], spreads, strict=True):
        value = _or_none(mean)
        told = SCORE_FORMAT.format(spread) if pd.notna(spread) else ""
        cells.append(Cell(_score_text(value), value, told))
    return marked(cells, True)


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
