"""The published tables that a suite can be held against, and what differs between the two.

Published numbers are of other trainings. They are never ranked with those of a suite.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sobench.compare.leaderboard import Leaderboard
from sobench.compare.published import CONDITIONS, Column, Paper, Table, read_papers
from sobench.compare.published_rows import Here, agree, beside, value_of
from sobench.metrics.table import ALL_AREAS, ScoreMetric, score_metrics
from sobench.suite.datasets import CocoData, DataSpec, SyntheticData, Tt100kData, VocData
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.reader import with_deviations
from sobench.suite.sections import Suite
from sobench.yaml_text import as_written

_SPLITS = {
    "coco": re.compile(r"(train|val|minival|test-dev)20(14|17)"),
    "visdrone": re.compile(r"VisDrone20\d\d-DET"),
    "voc": re.compile(r"VOC20(07|12)"),
}
"""Format -> what the folder or the split that is scored is called, if it is the public data set and
not another one in its format."""

_SMALL = 32.0**2
"""Area below which all objects of ``coco_small`` lie."""


@dataclass(frozen=True)
class Difference:
    """A condition in which a published table differs from a suite.

    Attributes:
        key: of the suite.
        there: the value of the paper, or its values if they differ by row.
        here: that of the suite.
        column: heading of the only column that it holds for; empty for all.
    """

    key: str
    there: tuple[Any, ...]
    here: Any
    column: str = ""

    @property
    def text(self) -> str:
        """One line, such as ``schedule.epochs: here 12, there 20``."""
        where = f"{self.column}: " if self.column else ""
        values = " / ".join(map(_in_words, self.there))
        by_row = "by row " if len(self.there) > 1 else ""
        return f"{where}{self.key}: here {_in_words(self.here)}, there {by_row}{values}"


@dataclass(frozen=True)
class PublishedTable:
    """A published table beside a suite.

    Attributes:
        paper, table: what was printed; ``table.rows[i].values`` are its cells, text by text, under
            ``table.columns``.
        differences: conditions that differ from the suite, in the order of ``CONDITIONS``.
        not_stated: keys of which the paper says nothing for its own rows.
        here: for each row of the table, the row of the suite that corresponds to it, if any.
    """

    paper: Paper
    table: Table
    differences: tuple[Difference, ...]
    not_stated: tuple[str, ...]
    here: tuple[Here | None, ...]

    @property
    def title(self) -> str:
        """Such as ``ZoomInNet (Liu et al., 2021), Table 4: ...``."""
        return f"{self.paper.reference}, Table {self.table.number}: {self.table.shows}"

    @property
    def cited(self) -> tuple[str, ...]:
        """Rows that the paper took over, for which its own conditions do not hold."""
        return tuple(row.label for row in self.table.rows if row.cited)

    @property
    def conditions(self) -> tuple[str, ...]:
        """What sets its numbers apart from the suite's, line by line."""
        return condition_lines(self.differences, self.not_stated, self.cited)


def condition_lines(
    differences: Iterable[Difference], not_stated: Sequence[str], cited: Sequence[str] = ()
) -> tuple[str, ...]:
    """Conditions in words."""
    lines = [f"differs: {difference.text}" for difference in differences]
    lines += [f"not stated: {', '.join(not_stated)}"] if not_stated else []
    lines += [f"taken over, with conditions of their own: {', '.join(cited)}"] if cited else []
    return tuple(lines)


def published_for(suite: Suite, papers: Sequence[Paper] | None = None) -> list[PublishedTable]:
    """The published tables on the data set of a suite, paper by paper; none for other data.

    Each comes with the conditions in which it differs from the suite (``conditions`` has them as
    lines of text, ``differences`` by key) and with the row of the suite beside each of its rows
    (``here``); ``measured`` has the numbers of those rows. Needs no results and no data.

    Args:
        papers: by default those that ``read_papers`` finds.

    Raises:
        RequestError: a file of published tables is wrong.
    """
    name = data_set_of(suite.dataset)
    if not name:
        return []
    rows = [(entry, with_deviations(suite, entry, Path(suite.name))) for entry in suite.methods]
    return [
        PublishedTable(
            paper,
            table,
            tuple(_differences(table, suite)),
            tuple(_not_stated(table)),
            tuple(beside(table, row, rows) for row in table.rows),
        )
        for paper in (read_papers() if papers is None else papers)
        for table in paper.tables
        if table.data == name and (not table.test or getattr(suite, table.test))
    ]


def data_set_of(dataset: DataSpec) -> str:
    """The public data set that a suite is scored on; empty for data of one's own."""
    if isinstance(dataset, SyntheticData):
        return ""
    if isinstance(dataset, Tt100kData):
        return "" if dataset.classes else "tt100k"
    pattern = _SPLITS.get(dataset.format)
    own_classes = isinstance(dataset, VocData) and dataset.classes
    if own_classes or not pattern or not pattern.search(f"{dataset.root}/{dataset.val}"):
        return ""
    if isinstance(dataset, CocoData) and dataset.max_area is not None:
        return "coco_small" if dataset.max_area == _SMALL else ""
    return dataset.format


def measured(published: PublishedTable, suite: Suite, board: Leaderboard) -> list[dict[str, float]]:
    """For each row of a table, heading of a column -> the mean over the seeds of the row here.

    Args:
        suite: that the table is beside.
        board: of the suite.

    Returns:
        fractions in 0..1, whatever the unit of the table; only of columns whose quantity the
        suite's protocol has.
    """
    columns = {
        column.heading: column.metric
        for column in published.table.columns
        if _is_measured(column, suite)
    }
    return [_numbers(here, columns, board) if here else {} for here in published.here]


def _is_measured(column: Column, suite: Suite) -> bool:
    """Whether the suite's protocol has the quantity of a column, on the images that it is of."""
    split = str(column.settings.get("dataset.val", ""))
    if not column.metric or not agree("dataset.val", split, value_of(suite, "dataset.val")):
        return False
    if column.protocol:
        return suite.protocol == column.protocol
    protocol, coco = PROTOCOLS[suite.protocol], PROTOCOLS["coco"]
    name = "AP" if column.metric.startswith("AP:") else column.metric
    metric = {metric.name: metric for metric in score_metrics(protocol)}.get(name)
    # Other definitions than COCO's are no `ScoreMetric`; its size bins may be other ones, too.
    if not isinstance(metric, ScoreMetric):
        return False
    if metric.area == ALL_AREAS:
        return protocol.headline == coco.headline
    return protocol.bins.get(metric.area) == coco.bins.get(metric.area)


def _numbers(here: Here, columns: Mapping[str, str], board: Leaderboard) -> dict[str, float]:
    rows = [
        row
        for row in (board.size_rows if here.test else board.rows)
        if row["method"] == here.label and row.get("input", "") == here.test
    ]
    if not rows:
        return {}
    of_classes = next((row for row in board.class_rows if row["method"] == here.label), {})
    by_class = {} if here.test else {f"AP:{name}": value for name, value in of_classes.items()}
    row = rows[0] | by_class
    return {
        heading: float(row[metric])
        for heading, metric in columns.items()
        if row.get(metric) is not None
    }


def _differences(table: Table, suite: Suite) -> list[Difference]:
    """In the order of the keys; those of a single column stand after those of all."""
    if table.kind == "survey":
        return []
    by_row = [table.settings | table.row_settings(row) for row in table.rows if not row.cited]
    found = []
    for key in CONDITIONS:
        here = value_of(suite, key)
        # Without repetition, in the order of the rows; lists cannot be in a set.
        there = tuple({as_written(s[key]): s[key] for s in by_row if key in s}.values())
        if there and not (len(there) == 1 and agree(key, there[0], here)):
            found.append(Difference(key, there, here))
    of_columns = [
        Difference(key, (value,), value_of(suite, key), column.heading)
        for column in table.columns
        for key, value in column.settings.items()
        if not agree(key, value, value_of(suite, key))
    ]
    return found + of_columns


def _not_stated(table: Table) -> list[str]:
    if table.kind == "survey":
        return []
    rows = [row for row in table.rows if not row.cited]
    stated = {key for row in rows for key in table.row_settings(row)}
    stated |= {key for column in table.columns for key in column.settings}
    return [key for key in CONDITIONS if key not in stated | table.settings.keys()]


def _in_words(value: Any) -> str:
    """A value as it may be written in a suite, without quotes around a text."""
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, list):
        return f"[{', '.join(map(_in_words, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
