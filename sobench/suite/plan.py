"""Suite -> runs. A run's id and folder are pure functions of what can change its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sobench.errors import RequestError, did_you_mean
from sobench.suite.heads import HEADS
from sobench.suite.methods import Need, get_method
from sobench.suite.reader import as_written, deviating
from sobench.suite.sections import MethodEntry, Suite

RESULTS_VERSION = 2
"""Raised when a change of the code changes results, so that old ones are not taken for new."""

_ALWAYS = ("input", "augment", "neck", "schedule", "precision", "detect")


@dataclass(frozen=True)
class Run:
    """One training and its evaluation, fully resolved.

    Attributes:
        suite: as this run executes it, with the row's deviations laid over.
        entry: the row of the suite.
        data: fingerprint of the dataset.
        limit: images used of each split, or ``None`` for all.
        requires: runs that must be done before, each with what it is needed as.
        partial: why the result is not one of the suite as it is written; empty if it is.
    """

    suite: Suite
    entry: MethodEntry
    seed: int
    data: str
    limit: int | None = None
    partial: tuple[str, ...] = ()
    requires: tuple[tuple[str, Run], ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """All that can change the result, apart from the dataset's content."""
        suite = self.suite.model_dump(mode="json")
        method = get_method(self.entry.name)
        # A method with a head of its own reads nothing of the suite's.
        of_head = ("head", *HEADS[self.suite.head].sections) if method.heads else ()
        settings = {key: suite[key] for key in (*_ALWAYS, *of_head)}
        dataset = {k: v for k, v in suite["dataset"].items() if k != "root"}
        backbone = dict(suite["backbone"])
        if backbone["weights"] not in ("none", "imagenet"):
            backbone["weights"] = _file_digest(Path(backbone["weights"]))
        # Another version of a method's package is another method; our own have RESULTS_VERSION.
        source = {"source": method.source} if method.source else {}
        required = {role: run.settings_id for role, run in self.requires}
        return (
            settings
            | source
            | ({"requires": required} if required else {})
            | {
                "version": RESULTS_VERSION,
                "method": self.entry.name,
                "switches": self.entry.switches,
                "seed": self.seed,
                "limit": self.limit,
                "dataset": dataset,
                "backbone": backbone,
            }
        )

    @property
    def settings_id(self) -> str:
        """Hash of the settings: equal for the same run on another copy of the data."""
        return _digest(self.settings)

    @property
    def id(self) -> str:
        """Seed, and hash of the settings and the dataset's fingerprint."""
        return f"s{self.seed}-{_digest([self.settings_id, self.data])}"

    def folder(self, results: Path) -> Path:
        """Where the run keeps its files."""
        return results / self.suite.name / self.entry.name / self.id

    @property
    def deviations(self) -> tuple[str, ...]:
        """Switches that are not as the method has them, and what differs from the suite.

        That is by the method's nature, and by this row's wish.
        """
        anchors = self.suite.anchors
        with_head = f", with anchors of scale {anchors.scale:g} and octaves {anchors.octaves}"
        wished = tuple(
            f"{key}: {value}{with_head if key == 'head' else ''} ({self.entry.reason})"
            for key, value in self.entry.deviations.items()
        )
        method, chosen = get_method(self.entry.name), self.entry.switches
        switched = tuple(
            f"switch {key}: {as_written(chosen[key])} (default {as_written(switch.default)})"
            for key, switch in method.switches.items()
            if chosen[key] != switch.default
        )
        by_nature = method.deviating(chosen, self.suite.head, self.suite.neck.norm)
        origin = self.entry.init_from
        started = (f"starts from the weights of {origin}",) if origin else ()
        return switched + by_nature + started + wished


def plan(
    suite: Suite,
    data: str,
    limit: int | None = None,
    partial: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> list[Run]:
    """The matrix of a suite: every row with every seed, seed by seed.

    Seeds are the outer loop, so that a matrix stopped half-way has whole seeds to compare.

    Args:
        methods: labels or method names to keep; empty keeps all.
        seeds: replaces the suite's seeds unless empty.

    Raises:
        RequestError: a method that the suite has no row of, a row that its method or a run that
            it requires cannot be under this suite, or two runs that are one and the same.
    """
    if len(set(seeds)) != len(seeds):
        raise RequestError(f"--seeds: {', '.join(map(str, seeds))}: give every seed once")
    rows = suite.methods
    for name in methods:
        known = {n for row in rows for n in (row.label, row.name)}
        if name not in known:
            raise RequestError(f"--methods: suite {suite.name} has no row {name!r};"
                               f"{did_you_mean(name, sorted(known))}")  # fmt: skip
    if methods:
        rows = tuple(row for row in rows if row.label in methods or row.name in methods)
    runs = [
        _resolved(suite, row, seed, data, limit, tuple(partial))
        for seed in (seeds or suite.seeds)
        for row in rows
    ]
    _check_distinct(runs)
    return runs


def with_required(runs: Sequence[Run], wanted: Callable[[Run], bool] = lambda _: True) -> list[Run]:
    """The runs, and before each what it requires; every training once.

    Args:
        wanted: whether what a run requires is asked for.
    """
    planned = {run.settings_id: run for run in runs}
    ordered: dict[str, Run] = {}

    def add(run: Run) -> None:
        for _, required in run.requires if wanted(run) else ():
            add(planned.get(required.settings_id, required))
        ordered.setdefault(run.settings_id, run)

    for run in runs:
        add(run)
    return list(ordered.values())


def _resolved(
    suite: Suite,
    row: MethodEntry,
    seed: int,
    data: str,
    limit: int | None,
    partial: tuple[str, ...],
) -> Run:
    own = deviating(suite, row, Path(suite.name))
    rest = (seed, data, limit, partial)
    requires = []
    for need in get_method(row.name).needs:
        if need.switches.items() <= row.switches.items():
            plain = own.model_copy(update={"eval_sizes": ()})
            requires.append((need.role, _resolved(plain, _needed(own, row, need), *rest)))
    if row.init_from:
        (origin,) = (other for other in suite.methods if other.label == row.init_from)
        requires.append(("init_from", _resolved(suite, origin, *rest)))
    return Run(own, row, *rest, requires=tuple(requires))


def _needed(suite: Suite, row: MethodEntry, need: Need) -> MethodEntry:
    """A needed run as if it were a row of the suite; it deviates where the needing row does."""
    label, deviations, reason = need.method, dict(row.deviations), row.reason
    if need.scale != 1:
        size = [need.scale * side for side in suite.input.size]
        label = f"{label} {size[0]}x{size[1]}"
        deviations["input.size"], reason = size, f"the {need.role} of {row.label}"
    if row.deviations:
        label = f"{label} for {row.label}"
    return MethodEntry(
        name=need.method,
        label=label,
        switches={k: v.default for k, v in get_method(need.method).switches.items()},
        deviations=deviations,
        reason=reason,
    )


def _check_distinct(runs: Sequence[Run]) -> None:
    first: dict[str, Run] = {}
    for run in runs:
        other = first.setdefault(run.settings_id, run)
        if other is not run:
            raise RequestError(
                f"{run.suite.name}: methods: {other.entry.label!r} and {run.entry.label!r} are the "
                "same training; leave one out, or set a switch or a deviation"
            )


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _file_digest(path: Path) -> str:
    try:
        path = path.expanduser()
        found = path.stat()
        return _content_digest(path, found.st_mtime_ns, found.st_size)
    except OSError as error:
        raise RequestError(
            f"backbone.weights: {path}: {error.strerror}; write `imagenet`, `none` or a file's path"
        ) from None


@cache
def _content_digest(path: Path, modified: int, size: int) -> str:
    """Of a file's content; read once, since the settings of every run ask for it."""
    del modified, size  # they tell one state of the file from another
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
