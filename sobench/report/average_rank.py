"""Average ranks over several suites, for people and for files."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sobench.compare.average_rank import ALPHA, AverageRanks
from sobench.compare.reasons import by_reason
from sobench.compare.several import Ranked, Several
from sobench.metrics.table import SCORE_FORMAT
from sobench.report.letters import letter
from sobench.report.sheet import Sheet, Table
from sobench.suite.external import shown_label


def average_rank_sheet(several: Several) -> Sheet:
    """A table for each metric, with what its tests say beneath it."""
    count = len(several.suites)
    tables = (table for ranked in several.tables for table in _tables(ranked, several.external))
    left_out = [f"left out, {line}" for line in by_reason(several.left_out)]
    return Sheet(
        title=f"Over {count} suites: {', '.join(several.suites)}",
        tables=tuple(tables),
        lines=(*several.notes, *left_out),
        csv=tuple(row for ranked in several.tables for row in _csv_rows(ranked, several)),
        json={
            "suites": several.suites,
            "metrics": [_json(ranked) for ranked in several.tables],
            "left_out": several.left_out,
            "notes": several.notes,
            "external": several.external,
        },
    )


def _tables(ranked: Ranked, external: Collection[str]) -> list[Table]:
    ranks = ranked.ranks
    headings = ("row", "average rank", "group", *ranks.datasets)
    letters = _letters(ranks)
    rows = tuple(
        (shown_label(row, external), f"{ranks.average[i]:.2f}", letters[row], *_places(ranks, i))
        for i, row in enumerate(ranks.rows)
    )
    title = f"Average rank by {ranked.metric} (in each suite: rank, and {ranked.metric})"
    lines = (
        *_lines(ranks),
        *(f"left out, {line}" for line in by_reason(ranked.left_out)),
    )
    return [Table(title, headings, rows, lines, named=3)]


def _places(ranks: AverageRanks, index: int) -> list[str]:
    return [
        f"{rank:g} ({SCORE_FORMAT.format(score)})"
        for rank, score in zip(ranks.ranks[:, index], ranks.scores[:, index], strict=True)
    ]


def _lines(ranks: AverageRanks) -> list[str]:
    """What the tests say, in the order in which they are made."""
    number, rows = len(ranks.datasets), len(ranks.rows)
    return [
        "rank 1 is best, equal scores share the mean of their ranks; rows with a common letter of "
        "the group are not told apart",
        *_friedman_lines(ranks),
        f"Nemenyi: average ranks that differ by {ranks.critical:.2f} or more differ ({ALPHA:g}, "
        f"{rows} rows, {number} data sets)",
        *_power_lines(ranks),
        *_wilcoxon_lines(ranks),
    ]


def _friedman_lines(ranks: AverageRanks) -> list[str]:
    test, rows, number = ranks.friedman, len(ranks.rows), len(ranks.datasets)
    counted = "all" if test.exact else "drawn"
    told = "some rows differ" if test.p <= ALPHA else "no difference between rows is shown"
    return [
        f"Friedman: chi2 = {test.chi2:.2f} ({rows - 1} df), Iman-Davenport F = {test.f:.2f} "
        f"({rows - 1} and {(rows - 1) * (number - 1)} df); p = {test.p:.2g}, counted over "
        f"{counted} {test.arrangements} arrangements of the ranks: {told}"
    ]


def _power_lines(ranks: AverageRanks) -> list[str]:
    """What so few data sets could show at the most."""
    number, most = len(ranks.datasets), len(ranks.rows) - 1
    if not ranks.can_tell:
        return [
            f"with {number} data sets no difference between two rows can be shown: even where all "
            f"data sets agree, average ranks differ by {most} at the most"
        ]
    if number < 6:
        return [
            f"with {number} data sets the tests have little power: only rows that differ by "
            f"{ranks.critical:.2f} of {most} possible ranks can be told apart"
        ]
    return []


def _wilcoxon_lines(ranks: AverageRanks) -> list[str]:
    number, pairs = len(ranks.datasets), len(ranks.pairs)
    smallest = ranks.smallest_wilcoxon
    if smallest * pairs > ALPHA:
        return [
            f"Wilcoxon with Holm's correction can show nothing: with {number} data sets its p is "
            f"{smallest:.2g} at the least, and there are {pairs} pairs to correct for"
        ]
    differing = [p for p in ranks.pairs if p.holm <= ALPHA]
    return [
        f"Wilcoxon with Holm's correction over {pairs} pairs: "
        + ("; ".join(f"{p.first} better than {p.second} (p = {p.holm:.2g})" for p in differing)
           or "no pair differs")
    ]  # fmt: skip


def _letters(ranks: AverageRanks) -> dict[str, str]:
    """Row -> the letters of its groups, such as ``ab``."""
    return {
        row: "".join(letter(i) for i, group in enumerate(ranks.groups) if row in group)
        for row in ranks.rows
    }


def _csv_rows(ranked: Ranked, several: Several) -> list[dict[str, Any]]:
    """A row for each row and metric; every suite has its columns, empty where it is left out."""
    ranks, rows = ranked.ranks, []
    letters = _letters(ranks)
    for i, label in enumerate(ranks.rows):
        row: dict[str, Any] = {
            "metric": ranked.metric,
            "row": label,
            "average_rank": float(ranks.average[i]),
            "group": letters[label],
            "critical_difference": ranks.critical,
            "friedman_p": ranks.friedman.p,
        }
        for suite in several.suites:
            at = ranks.datasets.index(suite) if suite in ranks.datasets else None
            row[f"rank:{suite}"] = None if at is None else float(ranks.ranks[at, i])
            row[f"score:{suite}"] = None if at is None else float(ranks.scores[at, i])
        rows.append(row)
    return rows


def _json(ranked: Ranked) -> dict[str, Any]:
    ranks, test = ranked.ranks, ranked.ranks.friedman
    return {
        "metric": ranked.metric,
        "suites": ranks.datasets,
        "rows": [
            {
                "row": label,
                "average_rank": float(ranks.average[i]),
                "ranks": ranks.ranks[:, i].tolist(),
                "scores": ranks.scores[:, i].tolist(),
            }
            for i, label in enumerate(ranks.rows)
        ],
        "groups": ranks.groups,
        "friedman": {
            "chi2": test.chi2,
            "iman_davenport_f": test.f,
            "p": test.p,
            "arrangements": test.arrangements,
            "exact": test.exact,
        },
        "nemenyi": {"alpha": ALPHA, "critical_difference": ranks.critical},
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "rank_difference": pair.ranks,
                "wilcoxon_p": pair.wilcoxon,
                "wilcoxon_p_holm": pair.holm,
            }
            for pair in ranks.pairs
        ],
        "left_out": ranked.left_out,
    }
