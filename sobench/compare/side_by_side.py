"""Two suites, folders or versions -> the same rows side by side, and the settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sobench.compare.costs import costs_of
from sobench.compare.differences import (
    MetricPair,
    Pair,
    are_paired,
    are_same,
    differences_of,
)
from sobench.compare.differing import (
    Differing,
    differing,
    differing_suites,
    provenance_of,
    settings_of,
)
from sobench.compare.sides import Outcome, Side
from sobench.errors import NothingToCompare, RequestError
from sobench.suite.external import external_labels
from sobench.suite.protocols import PROTOCOLS


@dataclass(frozen=True)
class RowPair:
    """A row that both sides have.

    Attributes:
        seeds: of A and of B.
        metrics: by name.
        costs: name of ``COST_METRICS`` -> value in A and in B.
        settings: those that differ in this row alone.
        is_paired: whether both are tested on the same images, so that the interval is that of
            paired differences; ``None`` without an interval.
        is_same: both hold the same numbers, seed by seed.
    """

    label: str
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    metrics: dict[str, MetricPair]
    costs: dict[str, tuple[float | None, float | None]]
    settings: Differing
    is_paired: bool | None
    is_same: bool


@dataclass(frozen=True)
class SideBySide:
    """Two sides, row by row.

    Attributes:
        names: of A and B.
        protocol: name and version.
        rows: that both have.
        settings: those that differ in the same way in all rows, or between the suites.
        only_a, only_b: labels that the other side lacks, with the reason.
        provenance: line -> A and B.
        notes: cautions.
        external: labels of the rows whose detections were made elsewhere, on either side.
    """

    names: tuple[str, str]
    protocol: str
    rows: tuple[RowPair, ...]
    settings: Differing
    only_a: dict[str, str]
    only_b: dict[str, str]
    provenance: dict[str, tuple[str, str]]
    notes: tuple[str, ...]
    external: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether both hold the same numbers in every row that both have."""
        return all(row.is_same for row in self.rows)


def side_by_side(a: Side, b: Side, metrics: Sequence[str]) -> SideBySide:
    """Compare two sides.

    Args:
        metrics: names, of the protocol of both.

    Raises:
        RequestError: the sides are scored by different protocols.
        NothingToCompare: no row has results on both sides.
    """
    first, second = a.runs[0].suite, b.runs[0].suite
    if first.protocol != second.protocol:
        raise RequestError(
            f"{a.name} is scored by {first.protocol} and {b.name} by {second.protocol}: their "
            "numbers do not compare; give both one with --set protocol=NAME"
        )
    only_a, only_b = _only(a, b), _only(b, a)
    shared = {label: (a.rows[label], b.rows[label]) for label in a.rows if label in b.rows}
    if not shared:
        raise NothingToCompare(_why_empty(a, b, only_a, only_b))
    settings = {
        label: differing(settings_of(rows_a), settings_of(rows_b))
        for label, (rows_a, rows_b) in shared.items()
    }
    common = _common(list(settings.values()))
    rows = _row_pairs(shared, settings, common, metrics)
    return SideBySide(
        names=(a.name, b.name),
        protocol=f"{first.protocol} v{PROTOCOLS[first.protocol].version}",
        rows=rows,
        settings=common | differing_suites(a.runs, b.runs, common),
        only_a=only_a,
        only_b=only_b,
        provenance=provenance_of(list(shared.values())),
        notes=_notes(a, b, rows),
        external=external_labels((*a.runs, *b.runs)),
    )


def _row_pairs(
    shared: Mapping[str, Pair],
    settings: Mapping[str, Differing],
    common: Differing,
    metrics: Sequence[str],
) -> tuple[RowPair, ...]:
    """Every row that both have; of its settings those that differ in it alone."""
    paired = [are_paired(*pair) for pair in shared.values()]
    differences = differences_of(list(shared.values()), paired, metrics)
    return tuple(
        RowPair(
            label=label,
            seeds=(tuple(rows_a), tuple(rows_b)),
            metrics=of_row,
            costs=_costs(rows_a, rows_b),
            settings={key: v for key, v in settings[label].items() if key not in common},
            is_paired=is_paired,
            is_same=are_same(rows_a, rows_b),
        )
        for (label, (rows_a, rows_b)), of_row, is_paired in zip(
            shared.items(), differences, paired, strict=True
        )
    )


def _common(settings: Sequence[Differing]) -> Differing:
    """The settings that differ in the same way in every row."""
    return {
        key: values
        for key, values in settings[0].items()
        if all(of_row.get(key) == values for of_row in settings)
    }


def _only(side: Side, other: Side) -> dict[str, str]:
    """Rows with a result on one side that the other lacks, and why it does."""
    planned = {run.entry.label for run in other.runs}
    return {
        label: other.missing.get(label, "") if label in planned else "not a row of it"
        for label in side.rows
        if label not in other.rows
    }


def _why_empty(a: Side, b: Side, only_a: Mapping[str, str], only_b: Mapping[str, str]) -> str:
    def told(side: Side, only: Mapping[str, str]) -> str:
        if not side.rows:
            return f"{side.name} has no result"
        return f"only {side.name} has {', '.join(only)}"

    return f"no row has results in both: {told(a, only_a)}; {told(b, only_b)}"


def _costs(
    a: Mapping[int, Outcome], b: Mapping[int, Outcome]
) -> dict[str, tuple[float | None, float | None]]:
    of_a, of_b = (costs_of([outcome.record for outcome in side.values()]) for side in (a, b))
    return {name: (of_a.get(name), of_b.get(name)) for name in of_a | of_b}


def _notes(a: Side, b: Side, rows: Sequence[RowPair]) -> tuple[str, ...]:
    notes = [f"{side.name}: {note}" for side in (a, b) for note in side.notes]
    unpaired = [row.label for row in rows if row.is_paired is False]
    if unpaired:
        notes.append(
            f"not the same images, so that intervals are wider, of unpaired differences: "
            f"{', '.join(unpaired)}"
        )
    unknown = [row.label for row in rows if row.is_paired is None and not row.is_same]
    if unknown:
        notes.append(
            f"no interval, since how their detections met the objects is not kept (`sobench run` "
            f"matches them in seconds): {', '.join(unknown)}"
        )
    unlike = [row.label for row in rows if row.seeds[0] != row.seeds[1]]
    if unlike:
        notes.append(
            f"A and B have other seeds, and means are over each side's: {', '.join(unlike)}"
        )
    neither = [label for label in a.missing if label in b.missing]
    if neither:
        notes.append(f"no result on either side: {', '.join(neither)}")
    tested = [row for row in rows if row.is_paired is not None and not row.is_same]
    if any(min(map(len, row.seeds)) < 2 for row in tested):
        notes.append("rows with one seed: intervals are over images, and training noise is not in "
                     "them unless other rows have several seeds")  # fmt: skip
    return tuple(notes)
