"""How far matrices are, as tables and lines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

from sobench.report.progress import duration
from sobench.report.sheet import Sheet, Table
from sobench.runs.status import RunStatus, StatusName, seconds_left

_NAMES = get_args(StatusName)
"""Columns, of which those without a run are left out."""

_SEEDS_SHOWN = 8


def status_sheet(
    suites: Sequence[tuple[str, Sequence[RunStatus]]], now: float, notes: Sequence[str] = ()
) -> Sheet:
    """The runs of each suite by their status, the progress of those at work, and all reasons.

    Args:
        suites: a title for each, such as ``smoke in results``, and its runs.
        now: seconds since 1970.
        notes: cautions.
    """
    tables: list[Table] = []
    for title, statuses in suites:
        tables.append(_counts(title, statuses))
        if progress := _progress(statuses, now):
            tables.append(progress)
    rows = [_flat(status, now) for _, statuses in suites for status in statuses]
    return Sheet(
        title=_headline([status for _, statuses in suites for status in statuses]),
        tables=tuple(tables),
        lines=tuple(notes),
        csv=tuple(rows),
        json={"runs": rows},
    )


def _headline(statuses: Sequence[RunStatus]) -> str:
    counts = Counter(status.name for status in statuses)
    parts = [f"{counts[name]} {name}" for name in _NAMES if counts[name]]
    return f"{len(statuses)} {'run' if len(statuses) == 1 else 'runs'}: {', '.join(parts)}"


def _counts(title: str, statuses: Sequence[RunStatus]) -> Table:
    """A row for each row of the suite, with the number of its runs by their status."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for status in statuses:
        counts[status.row][status.name] += 1
    names = [name for name in _NAMES if any(of_row[name] for of_row in counts.values())]
    rows = [
        (row, *(str(of_row[name] or "-") for name in names), str(of_row.total()))
        for row, of_row in counts.items()
    ]
    left = seconds_left(statuses)
    more = f"; about {duration(left)} left" if left is not None else ""
    return Table(
        f"{title}{more}", ("method", *names, "runs"), tuple(rows), tuple(_reasons(statuses))
    )


def _progress(statuses: Sequence[RunStatus], now: float) -> Table | None:
    """The trainings that are at work, and those that were stopped."""
    rows: list[tuple[str, ...]] = []
    for status in statuses:
        progress = status.progress
        if progress is None:
            if status.name == "running":
                rows.append((status.title, status.name, *("-",) * 5, "-"))
            continue
        steps, left = progress.steps, progress.seconds_left
        is_running = status.name == "running"
        is_trained = steps is not None and progress.step >= steps
        rows.append(
            (
                status.title,
                "detecting and scoring" if is_running and is_trained else status.name,
                str(progress.epoch),
                f"{progress.step}/{steps}" if steps else str(progress.step),
                f"{100 * progress.step / steps:.0f}%" if steps else "-",
                f"{progress.loss:.3f}" if progress.loss is not None else "-",
                duration(left) if is_running and left is not None else "-",
                f"{duration(max(0.0, now - progress.written))} ago",
            )
        )
    headings = ("run", "state", "epoch", "step", "trained", "loss", "left", "last written")
    return Table("Begun and not done", headings, tuple(rows)) if rows else None


def _reasons(statuses: Sequence[RunStatus]) -> list[str]:
    """Why runs are not done; runs of a row with the same reason share a line."""
    seeds: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for status in statuses:
        if status.reason:
            seed = "" if status.seed is None else str(status.seed)
            seeds[status.row, status.name, status.reason].append(seed)
    lines = []
    for (row, name, reason), of_row in seeds.items():
        more = f" and {len(of_row) - _SEEDS_SHOWN} more" if of_row[_SEEDS_SHOWN:] else ""
        listed = ", ".join(filter(None, of_row[:_SEEDS_SHOWN]))
        which = f" {'seed' if len(of_row) == 1 else 'seeds'} {listed}{more}" if listed else ""
        lines.append(f"{row}{which}: {name}: {reason}")
    return lines


def _flat(status: RunStatus, now: float) -> dict[str, Any]:
    """A run with all digits."""
    progress = status.progress
    values = asdict(progress) if progress else dict.fromkeys(
        ("step", "steps", "epoch", "loss", "seconds_left", "written")
    )  # fmt: skip
    written = values.pop("written")
    return {
        "suite": status.suite,
        "method": status.row,
        "seed": status.seed,
        "state": status.name,
        "reason": status.reason,
        "folder": str(status.folder),
        **values,
        "silent_seconds": None if written is None else max(0.0, now - written),
    }
