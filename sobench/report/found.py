"""Who finds what, for people and for files."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sobench.compare.found import Counts, Found, FoundPair
from sobench.compare.reasons import by_reason, runs_by_reason
from sobench.metrics.table import SCORE_FORMAT
from sobench.report.sheet import Sheet, Table
from sobench.suite.external import shown_label

_MOST_ROWS = 6
"""Rows whose pairs are listed; those of more stand in a table of rows against rows."""


def found_sheet(found: Found) -> Sheet:
    """A table of all pairs, of a single pair also by size and by class, and of the scores."""
    shown = _marked(found)
    is_large = len(shown.scores) > _MOST_ROWS
    tables = [_crosswise(shown) if is_large else _pairs(shown)]
    if len(shown.pairs) == 1:
        tables += [
            _parts(shown.pairs[0], "size", shown.pairs[0].by_size),
            _parts(shown.pairs[0], "class", shown.pairs[0].by_class),
        ]
    rows = tuple(row for pair in found.pairs for row in _csv_rows(pair))
    return Sheet(
        title=f"{found.title}: who finds what",
        tables=(*tables, _scores(shown)),
        lines=(*found.notes, *_left_out(found.missing)),
        csv=rows,
        json={
            "title": found.title,
            "protocol": found.protocol,
            "iou": 0.5,
            "images": found.images,
            "objects": found.objects,
            "scores": _scores_json(found),
            "pairs": rows,
            "missing": found.missing,
            "external": found.external,
            "notes": found.notes,
        },
    )


def _marked(found: Found) -> Found:
    """The same with labels as tables show them."""

    def shown(label: str) -> str:
        return shown_label(label, found.external)

    pairs = (replace(p, first=shown(p.first), second=shown(p.second)) for p in found.pairs)
    scores = {shown(label): of_row for label, of_row in found.scores.items()}
    return replace(found, pairs=tuple(pairs), scores=scores)


def _left_out(missing: dict[str, str]) -> list[str]:
    """Runs, which share lines as beneath a leaderboard, and then pairs of rows."""
    runs = {name: why for name, why in missing.items() if re.search(r" seed \d+$", name)}
    pairs = {name: why for name, why in missing.items() if name not in runs}
    return [*runs_by_reason(runs), *by_reason(pairs)]


def _pairs(found: Found) -> Table:
    headings = ("first", "second", "both", "only first", "only second", "neither", "seeds")
    rows = tuple(
        (pair.first, pair.second, *_cells(pair.total, pair), _seeds(pair)) for pair in found.pairs
    )
    title = "Objects found by both rows, by one of them alone, by neither"
    return Table(title, headings, rows, tuple(_how_counted(found)), named=2)


def _crosswise(found: Found) -> Table:
    """Row against column: the objects that the row finds and the column does not."""
    labels = list(found.scores)
    only = {(pair.first, pair.second): pair.total.first for pair in found.pairs}
    only |= {(pair.second, pair.first): pair.total.second for pair in found.pairs}
    rows = tuple(
        (
            str(number),
            label,
            *(
                "-" if (label, other) not in only else f"{only[label, other]:.0f}"
                for other in labels
            ),
        )
        for number, label in enumerate(labels, 1)
    )
    headings = ("#", "finds", *(str(number) for number in range(1, len(labels) + 1)))
    lines = (
        "each number is that of the objects which the row finds and the row of the column's number "
        "does not; --methods A,B shows a pair by size and class, and csv and json have all",
        *_how_counted(found),
    )
    return Table("Objects that a row finds and another misses", headings, rows, lines, named=2)


def _how_counted(found: Found) -> list[str]:
    lines = [
        f"counted: {found.objects} objects of {found.images} images ({found.protocol}); a row "
        "finds an object if a detection of its class takes it at IoU .5 or more"
    ]
    if any(len(pair.seeds) > 1 for pair in found.pairs):
        lines.append("runs of two rows are paired seed by seed; counts are means over these pairs")
    return lines


def _parts(pair: FoundPair, kind: str, parts: dict[str, Counts]) -> Table:
    headings = (
        kind, "objects", "both", f"only {pair.first}", f"only {pair.second}", "neither",
    )  # fmt: skip
    rows = tuple(
        (name, f"{counts.objects:.0f}", *_cells(counts, pair)) for name, counts in parts.items()
    )
    return Table(f"By {kind}", headings, rows)


def _scores(found: Found) -> Table:
    rows = tuple(
        (
            label,
            str(seed),
            "none" if best.score is None else SCORE_FORMAT.format(best.score),
            *(SCORE_FORMAT.format(value) for value in (best.f1, best.precision, best.recall)),
        )
        for label, of_row in found.scores.items()
        for seed, best in of_row.items()
    )
    line = (
        "the lowest score of a detection that counts is, for each run, the one with the highest F1 "
        "over all classes"
    )
    headings = ("row", "seed", "lowest score", "F1", "precision", "recall")
    return Table("Each run at its best F1", headings, rows, (line,), named=2)


def _cells(counts: Counts, pair: FoundPair) -> list[str]:
    form = "{:.0f}" if len(pair.seeds) == 1 else "{:.1f}"
    return [form.format(c) for c in (counts.both, counts.first, counts.second, counts.neither)]


def _seeds(pair: FoundPair) -> str:
    return ", ".join(map(str, pair.seeds))


def _csv_rows(pair: FoundPair) -> list[dict[str, Any]]:
    """A row for each part of the objects: all, each size, each class."""
    parts = [
        ("all", "", pair.total),
        *(("size", name, counts) for name, counts in pair.by_size.items()),
        *(("class", name, counts) for name, counts in pair.by_class.items()),
    ]
    return [
        {
            "first": pair.first,
            "second": pair.second,
            "seeds": _seeds(pair),
            "part": part,
            "name": name,
            "objects": counts.objects,
            "both": counts.both,
            "only_first": counts.first,
            "only_second": counts.second,
            "neither": counts.neither,
        }
        for part, name, counts in parts
    ]


def _scores_json(found: Found) -> list[dict[str, Any]]:
    return [
        {
            "row": label,
            "seed": seed,
            "lowest_score": best.score,
            "f1": best.f1,
            "precision": best.precision,
            "recall": best.recall,
        }
        for label, of_row in found.scores.items()
        for seed, best in of_row.items()
    ]
