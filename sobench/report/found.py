"""Who finds what, for people and for files."""

from __future__ import annotations

from typing import Any

from sobench.compare.found import Counts, Found, FoundPair
from sobench.metrics.table import SCORE_FORMAT
from sobench.report.sheet import Sheet, Table


def found_sheet(found: Found) -> Sheet:
    """A table of all pairs, of a single pair also by size and by class, and of the scores."""
    tables = [_pairs(found)]
    if len(found.pairs) == 1:
        tables += [
            _parts(found.pairs[0], "size", found.pairs[0].by_size),
            _parts(found.pairs[0], "class", found.pairs[0].by_class),
        ]
    rows = tuple(row for pair in found.pairs for row in _csv_rows(pair))
    return Sheet(
        title=f"{found.title}: who finds what",
        tables=(*tables, _scores(found)),
        lines=(*found.notes, *(f"{name}: {why}" for name, why in found.missing.items())),
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
            "notes": found.notes,
        },
    )


def _pairs(found: Found) -> Table:
    headings = ("first", "second", "both", "only first", "only second", "neither", "seeds")
    rows = tuple(
        (pair.first, pair.second, *_cells(pair.total, pair), _seeds(pair)) for pair in found.pairs
    )
    counted = (
        f"counted: {found.objects} objects of {found.images} images ({found.protocol}); a row "
        "finds an object if a detection of its class takes it at IoU .5 or more"
    )
    averaged = [
        "several seeds: runs are paired seed by seed, and the counts are means over these pairs"
    ]
    is_averaged = any(len(pair.seeds) > 1 for pair in found.pairs)
    lines = (counted, *(averaged if is_averaged else ()))
    return Table("Objects found by both, by one alone, by neither", headings, rows, lines, named=2)


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
