"""Suite -> runs. A run's id and folder are pure functions of all that can change its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sobench.errors import RequestError, did_you_mean
from sobench.suite.datasets import counted_keys
from sobench.suite.further_tests import without_further_tests
from sobench.suite.heads import HEADS
from sobench.suite.later_keys import later_settings
from sobench.suite.limit import Limit, as_setting
from sobench.suite.methods import Need, get_method
from sobench.suite.origin import Origin, origin_of
from sobench.suite.paths import NONE
from sobench.suite.reader import with_deviations
from sobench.suite.sections import MethodEntry, Suite
from sobench.suite.tuned import LEARNING_RATE, SUITES, Choice, overlapping, read_choices
from sobench.suite.weights import weights_id
from sobench.text import quoted
from sobench.yaml_text import as_written

RESULTS_VERSION = 4
"""Raised when a change of the code changes results, so that old ones are not taken for new."""

_SECTIONS_OF_ALL = ("input", "augment", "neck", "anchors", "schedule", "precision", "detect")
"""Keys of a suite that every method reads."""


@dataclass(frozen=True)
class Trial:
    """Values that are tried, and the share of the training images that is held out for it."""

    choice: Choice
    holdout: float


@dataclass(frozen=True)
class Run:
    """One training and its evaluation, fully resolved.

    Attributes:
        suite: as this run executes it, with the row's deviations in place of its values.
        entry: the row of the suite.
        data: fingerprint of the dataset, which results of runs to come depend on; leaderboards and
            other readers of results do without.
        limit: the images used of each split, or ``None`` for all.
        partial: why the result is not comparable with the suite as written; empty if it is.
        holdout: share of the training images that a trial of ``sobench tune`` is scored on, and
            does not train on; 0 for every other run.
        choice: values in place of the suite's, which ``suite`` has already, and where they are
            from; a trial's are those that it tries.
        requires: role -> run that must be done before, as pairs.
    """

    suite: Suite
    entry: MethodEntry
    seed: int
    data: str
    limit: Limit = None
    partial: tuple[str, ...] = ()
    requires: tuple[tuple[str, Run], ...] = ()
    holdout: float = 0.0
    choice: Choice | None = None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that can change the result, apart from the dataset's content."""
        # Of the suite, only sections that this run reads: others may change without a new run.
        suite = self.suite.model_dump(mode="json")
        method = get_method(self.entry.name)
        # A method with a head of its own reads nothing of the suite's.
        of_head = ("head", *HEADS[self.suite.head].sections) if method.heads else ()
        settings = {key: suite[key] for key in (*_SECTIONS_OF_ALL, *of_head)}
        # Data and weights count by their content, wherever they are.
        backbone = suite["backbone"] | {"weights": weights_id(self.suite.backbone)}
        # Another version of a method's package is another method; our own have RESULTS_VERSION.
        source = {"source": method.source} if method.source else {}
        origin = {"init_from": self.origin.settings} if self.origin else {}
        # A run changes with those that it requires.
        required = {role: run.settings_id for role, run in self.requires}
        return (
            settings
            | later_settings(self.suite, method)
            | source
            | origin
            | ({"requires": required} if required else {})
            | ({"holdout": self.holdout} if self.holdout else {})
            | {
                "version": RESULTS_VERSION,
                "method": self.entry.name,
                "switches": self.entry.switches,
                "seed": self.seed,
                "limit": as_setting(self.limit),
                "dataset": counted_keys(self.suite.dataset),
                "backbone": backbone,
            }
        )

    @cached_property
    def origin(self) -> Origin | None:
        """The weights from outside of the suite that the run starts from, if it does.

        Raises:
            SuiteError: they are not there.
        """
        entry, suite = self.entry, self.suite
        if entry.init_from == NONE or suite.origin_label(entry):
            return None
        # What goes on from a baseline starts from the suite's weights through that.
        if not entry.init_from and get_method(entry.name).baseline(entry.switches):
            return None
        place = entry.init_from or suite.init_from
        place = place.replace("{method}", entry.name).replace("{label}", entry.label)
        return origin_of(place, suite.init_classes) if place else None

    @cached_property
    def settings_id(self) -> str:
        """Hash of the settings, equal for the same run on another state of the data."""
        return short_digest(self.settings)

    @cached_property
    def id(self) -> str:
        """The seed, and a hash of the settings and the dataset's fingerprint."""
        return run_id(self.seed, self.settings_id, self.data)

    @cached_property
    def row_id(self) -> str:
        """Equal for the seeds of a row."""
        required = {role: run.row_id for role, run in self.requires}
        return short_digest(self.settings | {"seed": None, "requires": required})

    @property
    def name(self) -> str:
        """Row and seed, as messages name the run."""
        return f"{self.row} seed {self.seed}"

    @property
    def row(self) -> str:
        """The label of the row; of a trial with the values that it tries."""
        tried = self.choice.text if self.holdout and self.choice else ""
        return f"{self.entry.label} {tried}".rstrip()

    @property
    def learning_rate(self) -> str:
        """Where the learning rate of the row is from, such as ``the suite's``."""
        if self.choice and overlapping(LEARNING_RATE, self.choice.values):
            return self.choice.origin
        if overlapping(LEARNING_RATE, self.entry.deviations):
            return f"a deviation of the row ({self.entry.reason})"
        return SUITES

    @cached_property
    def defect(self) -> str:
        """Why the package of the run's method cannot be used for it; empty if it can."""
        return get_method(self.entry.name).defect(self.entry.switches, self.suite)

    def folder(self, results: Path) -> Path:
        """The folder of the run's files."""
        return results / self.suite.name / self.entry.name / self.id

    @cached_property
    def deviations(self) -> tuple[str, ...]:
        """All that sets the run apart from its method's defaults and from the suite.

        These are switches without their default, deviations of the method itself, the weights that
        it starts from, the deviations of its row, and the values that were chosen for it.
        """
        with_head = f", with anchors of octaves {self.suite.anchors.octaves}"
        of_row = tuple(
            f"{key}: {value}{with_head if key == 'head' else ''} ({self.entry.reason})"
            for key, value in self.entry.deviations.items()
        )
        method, chosen = get_method(self.entry.name), self.entry.switches
        of_switches = tuple(
            f"switch {key}: {as_written(chosen[key])} (default {as_written(switch.default)})"
            for key, switch in method.switches.items()
            if chosen[key] != switch.default
        )
        of_method = method.deviating(chosen, self.suite)
        values, why = (self.choice.values, self.choice.origin) if self.choice else ({}, "")
        of_choice = tuple(f"{key}: {as_written(value)} ({why})" for key, value in values.items())
        return of_switches + of_method + self._first_weights() + of_row + of_choice

    def _first_weights(self) -> tuple[str, ...]:
        """The trained weights that the run starts from, and those of the runs that it requires."""
        label, texts = self.suite.origin_label(self.entry), []
        if label:
            texts = [f"starts from the weights of {label}"]
        elif self.origin:
            told = self.origin.described(self.entry.name, self.entry.switches)
            texts = [f"starts from {told}"]
        for role, required in self.requires:
            if role != "init_from" and required.origin:
                entry = required.entry
                told = required.origin.described(entry.name, entry.switches)
                texts.append(f"its {role} starts from {told}")
        return tuple(texts)


def plan(
    suite: Suite,
    data: str = "",
    limit: Limit = None,
    partial: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
    trial: Trial | None = None,
) -> list[Run]:
    """The matrix of a suite: every row with every seed, seed by seed.

    Seeds are the outer loop, so that a matrix stopped half-way has whole seeds to compare.

    Args:
        data: fingerprint of the dataset, which results of runs to come depend on; leaderboards and
            other readers of results do without.
        limit: the images to use of each split, or ``None`` for all.
        partial: why results are not comparable with the suite as written.
        methods: labels to keep, or names of methods whose rows have other labels; empty keeps all.
        seeds: replace the suite's seeds unless empty.
        trial: values that every row tries on held-out training images, instead of its own choice.

    Raises:
        SuiteError: the file of ``tuned`` is wrong.
        RequestError: the suite has no row of a method, a method does not work with its head, or two
            runs are the same training.
    """
    if len(set(seeds)) != len(seeds):
        raise RequestError(f"--seeds: {', '.join(map(str, seeds))}: give every seed once")
    entries = suite.methods
    row_names = {name for entry in entries for name in (entry.label, entry.name)}
    for name in methods:
        if name not in row_names:
            raise RequestError(f"--methods: suite {suite.name} has no row {quoted(name)};"
                               f"{did_you_mean(name, sorted(row_names))}")  # fmt: skip
    if methods:
        # A label means its row alone, also where it is the name of a method with further rows.
        names = {*methods} - {entry.label for entry in entries}
        entries = tuple(e for e in entries if e.label in methods or e.name in names)
    choices = read_choices(suite)
    holdout = 0.0
    if trial is not None:
        # Beside the suite's results, and at the one input size that decides.
        name, holdout = f"{suite.name}.tune", trial.holdout
        suite = suite.model_copy(update={"name": name, "eval_sizes": ()})
    first, *others = seeds or suite.seeds
    of_first = [
        _resolved(
            suite, entry, _Conditions(first, data, limit, tuple(partial), holdout, choices),
            trial.choice if trial else choices.get(entry.label),
        )
        for entry in entries
    ]  # fmt: skip
    runs = of_first + [_with_seed(run, seed) for seed in others for run in of_first]
    check_distinct(runs)
    return runs


def with_required(
    runs: Sequence[Run], is_trained: Callable[[Run], bool] = lambda _: True
) -> list[Run]:
    """The runs, each after those that it requires; every training once.

    Args:
        is_trained: whether a run is to be trained, so that those that it requires are listed.
    """
    planned = {run.settings_id: run for run in runs}
    ordered: dict[str, Run] = {}

    def add(run: Run) -> None:
        for _, required in run.requires if is_trained(run) else ():
            add(planned.get(required.settings_id, required))
        ordered.setdefault(run.settings_id, run)

    for run in runs:
        add(run)
    return list(ordered.values())


@dataclass(frozen=True)
class _Conditions:
    """What a run has in common with those that it requires; ``choices`` are of the suite's rows."""

    seed: int
    data: str
    limit: Limit
    partial: tuple[str, ...]
    holdout: float
    choices: Mapping[str, Choice]


def _with_seed(run: Run, seed: int) -> Run:
    """The same run, and those that it requires, with another seed."""
    requires = tuple((role, _with_seed(required, seed)) for role, required in run.requires)
    return replace(run, seed=seed, requires=requires)


def _resolved(
    suite: Suite, entry: MethodEntry, conditions: _Conditions, choice: Choice | None
) -> Run:
    """The run of a row, with the runs that it requires; the choice is of this row alone."""
    own_suite = row_suite = with_deviations(suite, entry, Path(suite.name))
    if choice is not None:
        row_suite = with_deviations(suite, entry, Path(suite.name), choice)
    requires = []
    # Teachers and baselines of the method, as far as its switches ask for them. They are tested at
    # their own input size alone.
    for need in get_method(entry.name).needed(entry.switches):
        need_suite = without_further_tests(own_suite)
        need_entry = _needed(own_suite, entry, need)
        need_choice = _choice_of(need_entry, suite, conditions)
        requires.append((need.role, _resolved(need_suite, need_entry, conditions, need_choice)))
    # The row that this one starts from has the suite without this row's deviations.
    if label := suite.origin_label(entry):
        (origin,) = (other for other in suite.methods if other.label == label)
        origin_choice = conditions.choices.get(origin.label)
        requires.append(("init_from", _resolved(suite, origin, conditions, origin_choice)))
    return Run(
        row_suite, entry, conditions.seed, conditions.data, conditions.limit, conditions.partial,
        tuple(requires), conditions.holdout, choice,
    )  # fmt: skip


def _choice_of(needed: MethodEntry, suite: Suite, conditions: _Conditions) -> Choice | None:
    """What was chosen for the row of the suite that is this method and nothing else.

    So a baseline is the training of that row. A deviation that is handed on to it counts more.
    """
    for row in suite.methods:
        is_plain = not row.deviations and not row.init_from and row.switches == needed.switches
        if row.name == needed.name and is_plain and row.label in conditions.choices:
            return conditions.choices[row.label].without(needed.deviations)
    return None


def _needed(suite: Suite, row: MethodEntry, need: Need) -> MethodEntry:
    """A needed run as if it were a row of the suite; it deviates as the row that needs it."""
    label, deviations, reason = need.method, dict(row.deviations), row.reason
    if need.scale != 1:
        size = [int(need.scale * side) for side in suite.input.size]
        label = f"{label} {size[0]}x{size[1]}"
        deviations["input.size"], reason = size, f"the {need.role} of {row.label}"
    if row.deviations:
        label = f"{label} for {row.label}"
    # A row that starts from the backbone's weights builds on runs that do so too.
    place = NONE if row.init_from == NONE else suite.init_from.replace("{label}", need.method)
    return MethodEntry(
        name=need.method,
        label=label,
        init_from=place,
        switches={key: switch.default for key, switch in get_method(need.method).switches.items()},
        deviations=deviations,
        reason=reason,
    )


def check_distinct(runs: Sequence[Run]) -> None:
    """Refuse two rows that would be trained alike."""
    first: dict[str, Run] = {}
    for run in runs:
        other = first.setdefault(run.settings_id, run)
        if other is not run and run.choice and run.holdout and run.entry == other.entry:
            tried = " and ".join(r.choice.text for r in (other, run) if r.choice)
            raise RequestError(
                f"--grid: {run.entry.label}: {tried} are the same training; leave one out, or "
                "leave out the key if it has no effect on this row"
            )
        if other is not run:
            own, others = run.entry.deviations, other.entry.deviations
            idle = sorted(key for key in own | others if own.get(key) != others.get(key))
            way_out = "leave one out, or set a switch or a deviation"
            if idle:
                # Such as a further test of one network, or what the row's head does not read.
                verb = "changes" if len(idle) == 1 else "change"
                way_out = f"{', '.join(idle)} {verb} nothing in it; leave one of the rows out"
            raise RequestError(
                f"{run.suite.name}: methods: {quoted(other.row)} and {quoted(run.row)} are the "
                f"same training; {way_out}"
            )


def run_id(seed: int, settings_id: str, data: str) -> str:
    """The name of a run's folder: its seed, and a hash of its settings and the data."""
    return f"s{seed}-{short_digest([settings_id, data])}"


def short_digest(content: Any) -> str:
    """12 hexadecimal digits of the SHA-256 of content as JSON with sorted keys and no spaces."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
