"""Published tables beside a suite, apart from what was measured, for people and for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sobench.compare.leaderboard import Leaderboard
from sobench.compare.published import MISSING, Column, Paper
from sobench.compare.published_fit import (
    Difference,
    PublishedTable,
    condition_lines,
    measured,
)
from sobench.metrics.table import SCORE_FORMAT
from sobench.report.sheet import Sheet, Table
from sobench.suite.sections import Suite

_Conditions = tuple[tuple[Difference, ...], tuple[str, ...]]
"""What differs, and the keys of which nothing is stated."""

_RULE = (
    "published numbers are of other code and machines, without a spread over seeds; they have no "
    "rank and no tier, and a difference from a measured one is the sum of all that differs",
    "`here: ROW` is the row of the suite that has the same method, with its mean over seeds in the "
    "unit of the table",
)
_NONE = "no published table is on the data of this suite"


def published_sheet(
    suite: Suite, tables: Sequence[PublishedTable], board: Leaderboard | None, note: str = ""
) -> Sheet:
    """A table for each published one, with what differs from the suite beneath it.

    Args:
        tables: those of the suite.
        board: what was measured of it; ``None`` if nothing was.
        note: why nothing was.
    """
    here = [measured(table, suite, board) if board else [] for table in tables]
    papers = list({table.paper.name: table.paper for table in tables}.values())
    notes = (note,) if note else ()
    return Sheet(
        title=f"Published, not measured here: {suite.title or suite.name}",
        tables=_tables(tables, here),
        lines=(*notes, *(_RULE if tables else (_NONE,)), *_paper_lines(papers)),
        csv=tuple(cell for pair in zip(tables, here, strict=True) for cell in _csv_cells(*pair)),
        json={
            "suite": suite.name,
            "kind": "published, not measured here",
            "papers": [_paper_json(paper) for paper in papers],
            "tables": [_table_json(*pair) for pair in zip(tables, here, strict=True)],
            "notes": notes if tables else (*notes, _NONE),
        },
    )


def _tables(
    tables: Sequence[PublishedTable], here: Sequence[Sequence[Mapping[str, float]]]
) -> tuple[Table, ...]:
    """All tables; the conditions that those of a paper have in common are told once."""
    made, told = [], set()
    for published, values in zip(tables, here, strict=True):
        name = published.paper.name
        common = _common([table for table in tables if table.paper.name == name])
        table = _table(published, values, common)
        if name not in told:
            lines = (f"all tables of {name} here, {line}" for line in condition_lines(*common))
            table = replace(table, lines=(*lines, *table.lines))
        told.add(name)
        made.append(table)
    return tuple(made)


def _common(tables: Sequence[PublishedTable]) -> _Conditions:
    """What all tables of a paper that have results differ in, and do not state, if there are some.

    A single table tells its own.
    """
    results = [table for table in tables if table.table.kind == "results"]
    if len(results) < 2:
        return (), ()
    first, *others = results
    return (
        tuple(d for d in first.differences if all(d in other.differences for other in others)),
        tuple(key for key in first.not_stated if all(key in o.not_stated for o in others)),
    )


def _table(
    published: PublishedTable, here: Sequence[Mapping[str, float]], common: _Conditions
) -> Table:
    table = published.table
    rows: list[tuple[str, ...]] = []
    for index, row in enumerate(table.rows):
        rows.append((row.label, *row.values))
        label, values = published.here[index], here[index] if here else {}
        if label and values:
            cells = (_cell(values, column, table.unit) for column in table.columns)
            rows.append((f"  here: {label.text}", *cells))
    # A unit is that of scores only: other columns say theirs in their headings or beneath.
    unit = "" if table.kind == "survey" else f" ({table.unit})"
    headings = ("row", *(column.heading for column in table.columns))
    return Table(f"{published.title}{unit}", headings, tuple(rows), _lines(published, common))


def _cell(values: Mapping[str, float], column: Column, unit: str) -> str:
    """A measured value as the table would print it."""
    value = values.get(column.heading)
    if value is None:
        return MISSING
    return f"{100 * value:.1f}" if unit == "percent" else SCORE_FORMAT.format(value)


def _lines(published: PublishedTable, common: _Conditions) -> tuple[str, ...]:
    """What differs, what columns mean, and notes; without the conditions that are told before."""
    table, (differences, not_stated) = published.table, common
    meanings: dict[str, list[str]] = {}
    for column in table.columns:
        if column.meaning:
            meanings.setdefault(column.meaning, []).append(column.heading)
    return (
        *condition_lines(
            [difference for difference in published.differences if difference not in differences],
            [key for key in published.not_stated if key not in not_stated],
            published.cited,
        ),
        *(f"{', '.join(headings)}: {meaning}" for meaning, headings in meanings.items()),
        *(f"{row.label}: {row.note}" for row in table.rows if row.note),
        *(f"note: {note}" for note in table.notes),
    )


def _paper_lines(papers: Sequence[Paper]) -> list[str]:
    lines = []
    for paper in papers:
        lines.append(f"{paper.reference}: {paper.title}; {paper.source}")
        lines += [f"{paper.name}, note: {note}" for note in paper.notes]
    return lines


def _csv_cells(
    published: PublishedTable, here: Sequence[Mapping[str, float]]
) -> list[dict[str, Any]]:
    """A line for each cell, so that tables of all columns stand in one file."""
    table = published.table
    return [
        {
            "paper": published.paper.name,
            "table": table.number,
            "row": row.label,
            "column": column.heading,
            "metric": column.metric,
            "unit": column.unit or (table.unit if column.metric else ""),
            "published": value,
            "here": label.text if (label := published.here[index]) else "",
            "measured": here[index].get(column.heading) if here else None,
        }
        for index, row in enumerate(table.rows)
        for column, value in zip(table.columns, row.values, strict=True)
    ]


def _paper_json(paper: Paper) -> dict[str, Any]:
    return paper.model_dump(mode="json", exclude={"tables"})


def _table_json(published: PublishedTable, here: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The table as it is in its file, with what the suite adds to it."""
    content = published.table.model_dump(mode="json")
    for index, row in enumerate(content["rows"]):
        label = published.here[index]
        row["here"] = label.text if label else None
        row["measured"] = dict(here[index]) if here else {}
    return {"paper": published.paper.name} | content | {
        "differences": [
            {"key": d.key, "there": d.there, "here": d.here, "column": d.column}
            for d in published.differences
        ],
        "not_stated": published.not_stated,
    }  # fmt: skip
