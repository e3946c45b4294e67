"""The columns of a leaderboard as people read them, and which of them are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich.cells import cell_len

from sobench.compare.intervals import Estimate
from sobench.compare.leaderboard import Leaderboard, Row
from sobench.compare.tiers import tier_text
from sobench.errors import RequestError, did_you_mean
from sobench.metrics.table import ALL_AREAS, Metric
from sobench.report.letters import labels_by_text, letters
from sobench.report.view import View
from sobench.text import quoted

INTERVAL = "95 % interval"
"""The heading of the interval of the metric that ranks."""

GAP = 2
"""Characters between two columns."""

Place = Literal["", "best", "second"]

_ALWAYS, _ON_REQUEST = 0, -1
_FIRST_COSTS = ("latency_ms", "gflops", "params_m")
_LAST_COSTS = ("train_img_s",)
_SHARED = 2
_BEFORE_COSTS = 3
"""Metrics behind the ranking one that are more important than any cost."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: by which it is asked for; that of CSV and JSON where these have it.
        title: the heading.
        cells: row by row.
        places: row by row, where a cell is the best or the second best of its column.
        is_text: whether it is words, which are aligned left.
        priority: 0 for columns that are always shown; of the others those of the highest number
            are left out first; negative for those that are shown only by their name.
        footnote: what the column is; empty if its heading says enough.
    """

    name: str
    title: str
    cells: tuple[str, ...]
    places: tuple[Place, ...] = ()
    is_text: bool = False
    priority: int = _ALWAYS
    footnote: str = ""

    @property
    def width(self) -> int:
        """Characters of the widest cell, with a character for the mark of a place."""
        return max(map(cell_len, (self.title, *self.cells))) + any(self.places)

    def place(self, index: int) -> Place:
        """Of the cell of a row."""
        return self.places[index] if self.places else ""


def notes_by_row(board: Leaderboard) -> dict[str, tuple[str, ...]]:
    """Label -> what sets the row apart, of the rows that are shown."""
    return {row["method"]: board.deviations.get(row["method"], ()) for row in board.rows}


def all_columns(board: Leaderboard, by_seed: bool = False) -> list[Column]:
    """Every column that can be shown, those that are shown only by their name too."""
    rows = [row for row in board.run_rows if row["state"] and _has_value(row, board)]
    if not by_seed:
        rows = list(board.rows)
    naming = _naming_columns(board, rows, by_seed)
    of_scores = [
        column for metric in board.scores for column in _score_columns(board, metric, rows, by_seed)
    ]
    of_costs = [_metric_column(cost, rows) for cost in board.costs]
    return _with_priorities(board, [*naming, *of_scores, *of_costs])


def shown_columns(
    board: Leaderboard, view: View, width: int | None = None, widest_label: int | None = None
) -> tuple[list[Column], list[Column]]:
    """The columns of a view, and those that are left out for want of room.

    Args:
        width: characters of a line; without it, nothing is left out.
        widest_label: characters that the names of rows may take at most, being wrapped otherwise.

    Raises:
        RequestError: a column is unknown.
    """
    known = all_columns(board, view.by_seed)
    if view.columns:
        by_name = {column.name: column for column in known}
        titles = {column.name: column.title for column in known}
        names = [column_name(name, titles, "--columns") for name in view.columns]
        names = [*([] if "method" in names else ["method"]), *names]
        return [by_name[name] for name in dict.fromkeys(names)], []
    usual = [column for column in known if column.priority != _ON_REQUEST]
    if view.wide or width is None:
        return usual, []
    return fitting(usual, width, widest_label)


def column_name(asked: str, titles: Mapping[str, str], option: str) -> str:
    """The name of the column that is asked for by its name or its heading, in any case.

    Args:
        titles: name of each column -> its heading.
        option: of the command line, for the message.

    Raises:
        RequestError: there is none.
    """
    if asked in titles:
        return asked
    for name, title in titles.items():
        if asked.casefold() in (name.casefold(), title.casefold()):
            return name
    raise RequestError(
        f"{option}: {quoted(asked)} is not a column of this table;{did_you_mean(asked, titles)}"
    )


def interval_text(metric: Metric, found: Estimate | None) -> str:
    """A 95 % interval, such as ``[0.198, 0.246]``; ``-`` if there is none."""
    if found is None or "-" in (low := metric.text(found.low), high := metric.text(found.high)):
        return "-"
    return f"[{low}, {high}]"


def _has_value(row: Row, board: Leaderboard) -> bool:
    return any(row[name] is not None for name in board.metrics)


def _naming_columns(board: Leaderboard, rows: Sequence[Row], by_seed: bool) -> list[Column]:
    """What tells the rows apart, and how sure their order is."""

    def words(name: str, title: str, text: Callable[[Row], str], priority: int = 0) -> Column:
        return Column(name, title, tuple(map(text, rows)), is_text=True, priority=priority)

    by_row = notes_by_row(board)
    texts = list(labels_by_text(by_row))
    notes = words(
        "notes", "notes", lambda row: letters([texts.index(t) for t in by_row[row["method"]]])
    )
    method = words("method", "method", lambda row: board.shown_label(str(row["method"])))
    if by_seed:
        seed = Column("seed", "seed", tuple(str(row["seed"]) for row in rows))
        run = words("run", "run", lambda row: str(row["run"]), _ON_REQUEST)
        return [method, seed, *([notes] if any(notes.cells) else []), run]
    tiers = board.verdict.tiers
    tier = tuple(tier_text(tiers.get(row["method"], ())) for row in rows)
    seeds = _seeds_column(board, rows)
    return [Column("tier", "tier", tier), method, *([notes] if any(notes.cells) else []), seeds]


def _seeds_column(board: Leaderboard, rows: Sequence[Row]) -> Column:
    """The number of seeds with a result, with that of all where some have none."""
    asked = Counter(str(row["method"]) for row in board.run_rows)
    pairs = [(row["seeds"], asked[row["method"]]) for row in rows]
    cells = tuple(str(found) if found >= of else f"{found}/{of}" for found, of in pairs)
    note = "with a result, of those asked for" if any("/" in cell for cell in cells) else ""
    priority = _ON_REQUEST if {*cells} == {"1"} else _ALWAYS
    return Column("seeds", "seeds", cells, priority=priority, footnote=note)


def _score_columns(
    board: Leaderboard, metric: Metric, rows: Sequence[Row], by_seed: bool
) -> list[Column]:
    """A metric; its spread over seeds and its interval, which are usual of the ranking one."""
    values = _metric_column(metric, rows)
    if by_seed:
        return [values]
    prefix = "" if metric.name == board.metrics[0] else f"{metric.title} "
    spreads = tuple(metric.text(row[f"{metric.name}_std"]) for row in rows)
    estimates = board.verdict.estimates
    intervals = tuple(
        interval_text(metric, estimates.get(row["method"], {}).get(metric.name)) for row in rows
    )
    return [
        values,
        Column(f"{metric.name}_std", f"{prefix}±", spreads),
        Column(f"{metric.name}_interval", f"{prefix}{INTERVAL}", intervals),
    ]


def _metric_column(metric: Metric, rows: Sequence[Row]) -> Column:
    values = [row.get(metric.name) for row in rows]
    cells = tuple(map(metric.text, values))
    marks = places(values, cells, metric.higher_is_better)
    return Column(metric.name, metric.title, cells, marks, footnote=metric.footnote)


def places(
    values: Sequence[float | None], cells: Sequence[str], higher_is_better: bool
) -> tuple[Place, ...]:
    """The best and the second best; two values that are printed alike share their place.

    None is marked that more rows share, or where a cost that is not known may be the lowest.

    Returns:
        A place for every row, or nothing if no row has one.
    """
    printed = {cell: value for cell, value in zip(cells, values, strict=True) if value is not None}
    if len(printed) < 2 or (not higher_is_better and None in values):
        return ()
    order = sorted(printed, key=lambda cell: printed[cell], reverse=higher_is_better)
    names: dict[str, Place] = {order[0]: "best"}
    if cells.count(order[0]) == 1:
        names[order[1]] = "second"
    return tuple(names.get(cell, "") if cells.count(cell) <= _SHARED else "" for cell in cells)


def _with_priorities(board: Leaderboard, columns: Sequence[Column]) -> list[Column]:
    """Say which columns are left out first where there is no room."""
    ranking, *others = board.scores
    alike = [m.name for m in others if _quantity(m) == _quantity(ranking)]
    unlike = sorted((m for m in others if m.name not in alike), key=lambda m: not _is_of_bin(m))
    costs = [cost.name for cost in board.costs]
    middle = [name for name in costs if name not in (*_FIRST_COSTS, *_LAST_COSTS)]
    order = [
        *alike[:_BEFORE_COSTS],
        *_FIRST_COSTS,
        f"{ranking.name}_std",
        *alike[_BEFORE_COSTS:],
        *middle,
        *(metric.name for metric in unlike),
        "seeds",
        *_LAST_COSTS,
    ]
    priorities = {name: number for number, name in enumerate(order, 1)}
    always = {"tier", "method", "seed", "notes", ranking.name, f"{ranking.name}_interval"}
    # Rows of other numbers of seeds are not alike, which nobody may overlook.
    always |= {c.name for c in columns if c.name == "seeds" and len({*c.cells}) > 1}
    found = []
    for column in columns:
        is_empty = column.name.endswith(("_std", "_interval")) and {*column.cells} == {"-"}
        priority = _ALWAYS if column.name in always else priorities.get(column.name, _ON_REQUEST)
        on_request = column.priority == _ON_REQUEST or is_empty
        found.append(replace(column, priority=_ON_REQUEST if on_request else priority))
    return found


def _quantity(metric: Metric) -> object:
    return getattr(metric, "quantity", None)


def _is_of_bin(metric: Metric) -> bool:
    return getattr(metric, "area", ALL_AREAS) != ALL_AREAS


def fitting(
    columns: Sequence[Column], width: int, widest_label: int | None
) -> tuple[list[Column], list[Column]]:
    """The most important columns that fit into a line, in their order, and the others."""

    def room(column: Column) -> int:
        is_label = column.name == "method" and widest_label is not None
        return GAP + (min(column.width, widest_label or 0) if is_label else column.width)

    kept = {column.name for column in columns if column.priority == _ALWAYS}
    left = width + GAP - sum(room(column) for column in columns if column.name in kept)
    for column in sorted(columns, key=lambda column: column.priority):
        if column.name not in kept and room(column) <= left:
            kept.add(column.name)
            left -= room(column)
    return (
        [column for column in columns if column.name in kept],
        [column for column in columns if column.name not in kept],
    )
