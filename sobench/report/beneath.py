"""What stands beside and beneath the columns of a leaderboard, as plain lines and cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sobench.compare.leaderboard import Leaderboard, Row
from sobench.compare.reasons import runs_by_reason
from sobench.compare.remarks import NARROWED, PARTIAL
from sobench.metrics.table import SCORE_FORMAT, Metric
from sobench.report.columns import Column, Place, notes_by_row
from sobench.report.letters import labels_by_text, letter
from sobench.suite.tuned import learning_rate_lines

SIZE_TITLE = "Tested on other inputs"


def partial_lines(board: Leaderboard) -> list[str]:
    """That the result is partial or narrowed; said before anything else, and only there."""
    return [note for note in board.notes if _is_partial(board, note)]


def legend(columns: Sequence[Column], marks: Mapping[Place, str]) -> list[str]:
    """What the marks of places mean, if there are any."""
    if not any(any(column.places) for column in columns):
        return []
    return [f"{marks['best']} best of a column, {marks['second']} second"]


def left_out_lines(left_out: Sequence[Column]) -> list[str]:
    """Which columns there is no room for, and how to see them."""
    names = ", ".join(column.title for column in left_out)
    return [f"no room for {names}: --wide shows them, --columns chooses"] if names else []


def absent_lines(board: Leaderboard) -> list[str]:
    """Which rows are not in the table, for they have no result; the reasons are among the rest."""
    shown = {row["method"] for row in board.rows}
    absent = dict.fromkeys(str(row["method"]) for row in board.run_rows)
    names = [label for label in absent if label not in shown]
    told = f"{len(names)} rows without a result are" if names[1:] else "1 row without a result is"
    return [f"{told} not in the table: {', '.join(names)}"] if names else []


def footnotes(board: Leaderboard, columns: Sequence[Column]) -> list[str]:
    """The rule of tiers, what is fair in the table, and explanations of columns that it shows."""
    explained = [f"{column.title}: {column.footnote}" for column in columns if column.footnote]
    has_tiers = any(column.name == "tier" for column in columns)
    return [*(board.verdict.rule if has_tiers else ()), *board.fairness, *explained]


def lettered(board: Leaderboard) -> list[tuple[str, str]]:
    """The letters of the column ``notes``, with what they stand for."""
    return [(letter(i), text) for i, text in enumerate(labels_by_text(notes_by_row(board)))]


def remarks(board: Leaderboard) -> list[str]:
    """The lines beneath all tables: notes, learning rates, missing runs, provenance."""
    lines = [note for note in board.notes if not _is_partial(board, note)]
    lines += learning_rate_lines(board.learning_rates)
    lines += runs_by_reason(board.missing)
    return lines + [f"{name}: {value}" for name, value in board.provenance.items() if value]


def size_columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the metrics of further tests; no rows if there are none."""
    table_rows = [
        [row["method"], row["input"], *(_with_spread(row, metric) for metric in board.scores)]
        for row in board.size_rows
    ]
    return ["method", "input", *(metric.title for metric in board.scores)], table_rows


def class_title(board: Leaderboard) -> str:
    """The heading of the table of classes, such as ``AP by class``."""
    return f"{board.class_metric} by class"


def class_columns(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the AP of every class."""
    names: Collection[str] = board.class_rows[0].keys() if board.class_rows else ()
    classes = [name for name in names if name != "method"]
    table_rows = [
        [board.shown_label(row["method"]), *(_class_text(row.get(name)) for name in classes)]
        for row in board.class_rows
    ]
    return ["method", *classes], table_rows


def _is_partial(board: Leaderboard, note: str) -> bool:
    is_partial = bool(board.partial) and note.startswith(PARTIAL)
    return is_partial or (bool(board.narrowed) and note.startswith(NARROWED))


def _with_spread(row: Row, metric: Metric) -> str:
    """The mean over seeds, with its spread if there is more than one."""
    text, spread = metric.text(row[metric.name]), row[f"{metric.name}_std"]
    return text if spread is None else f"{text} ±{metric.text(spread)}"


def _class_text(value: float | None) -> str:
    return "-" if value is None else SCORE_FORMAT.format(value)
