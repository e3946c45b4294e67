"""The rows of the methods: their fields, and the packages that they come from.

A method is a package: its ``__init__.py`` holds the row ``METHOD`` and imports no torch, its
``model.py`` has ``build(backbone, config, switches) -> Detector``. The built-in ones are the
folders of ``sobench/models/methods/``; other packages bring theirs by entry points of the group
``sobench.methods``. Suites and the leaderboard call a method by the name of its folder or entry
point.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules

from sobench.errors import RequestError, did_you_mean
from sobench.suite.heads import HEADS
from sobench.suite.sections import Suite

GROUP = "sobench.methods"
"""Entry points of this group name the rows of other packages."""

_BUILT_IN = "sobench.models.methods"
"""The package whose folders are the built-in methods."""

_KEYS_OF_AN_ENTRY = ("name", "label", "init_from", "deviations")
"""Keys that every method entry of a suite may have, so no switch can have their names."""

SwitchValue = str | int | float | bool

Rule = Callable[[Mapping[str, SwitchValue], Suite], str]
"""From a row's switches and the suite as the row runs it to a problem with the way out, such as
``"thin: true has no towers to halve; leave it out"``, or to an empty text if there is none."""


@dataclass(frozen=True)
class Switch:
    """One option of a method.

    Attributes:
        default: the value that holds where a suite names none.
        values: all that it may have.
        meaning: its effect in a few words, for ``sobench list methods``.
        needs: values that other switches must have for it to have any effect.
        head: the suite's head, if it has an effect only under that one.
    """

    default: SwitchValue
    values: tuple[SwitchValue, ...]
    meaning: str
    needs: dict[str, SwitchValue] = field(default_factory=dict)
    head: str = ""


@dataclass(frozen=True)
class When:
    """A deviation that holds only for some rows.

    Attributes:
        text: the deviation.
        switches: values that switches must have.
        head, norm: the suite's head and ``neck.norm``, if only under that one.
    """

    text: str
    switches: dict[str, SwitchValue] = field(default_factory=dict)
    head: str = ""
    norm: str = ""


@dataclass(frozen=True)
class Need:
    """A finished run that a method starts from or learns from.

    It is a run of ``method`` with its default switches under the row's own suite and seed.

    Attributes:
        role: under which the detector's ``load_required`` gets it.
        method: name of a built-in method that needs no run itself.
        scale: its input is so many times as high and wide as the suite's.
        switches: values that the row's switches must have for the need to arise.
    """

    role: str
    method: str
    scale: int = 1
    switches: dict[str, SwitchValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """The row of a method.

    Attributes:
        title, paper: for ``sobench list methods``.
        heads: the suite's heads that it works under; empty for a detector with a head of its own.
        switches: its options by name.
        deviations: its differences from the suite, printed with its results.
        needs: runs that must be done before.
        rules: refuse impossible combinations of switches and suite when the suite is read.
        source: the package, with its version, that brings the method; empty for a built-in one.
            Filled in by ``methods()``.
        package: dotted name of the package, whose module ``model`` builds the network. Filled in
            by ``methods()``.
    """

    title: str
    paper: str
    heads: tuple[str, ...] = ()
    switches: dict[str, Switch] = field(default_factory=dict)
    deviations: tuple[str | When, ...] = ()
    needs: tuple[Need, ...] = ()
    rules: tuple[Rule, ...] = ()
    source: str = ""
    package: str = ""

    def deviating(
        self, switches: Mapping[str, SwitchValue], head: str, norm: str
    ) -> tuple[str, ...]:
        """The deviations of a row with these switches, under the suite's head and norm."""
        cases = [When(case) if isinstance(case, str) else case for case in self.deviations]
        texts = [
            case.text
            for case in cases
            if case.head in ("", head)
            and case.norm in ("", norm)
            and case.switches.items() <= switches.items()
        ]
        return tuple(dict.fromkeys(texts))  # two cases may be of one text

    def problem(self, switches: Mapping[str, SwitchValue], suite: Suite) -> str:
        """Why a row with these switches cannot run under a suite, and the way out; else empty."""
        if self.heads and suite.head not in self.heads:
            return f"does not work with head {suite.head!r}; it works with {', '.join(self.heads)}"
        for key, switch in self.switches.items():
            if switch.head not in ("", suite.head) and switches[key] != switch.default:
                return (
                    f"{key} has no effect under head {suite.head!r}, only under {switch.head}; "
                    "leave it out"
                )
        return next((problem for rule in self.rules if (problem := rule(switches, suite))), "")


@cache
def methods() -> dict[str, Method]:
    """Every method: the built-in ones, then those of other packages, each by name.

    Raises:
        RequestError: a row cannot be imported or is wrong, or its name is taken.
    """
    methods_by_name: dict[str, Method] = {}
    places: dict[str, str] = {}
    foreign = sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
    for entry in [*_built_in(), *foreign]:
        where = f"{GROUP}: {entry.name} = {entry.value!r} of {_source(entry) or 'sobench itself'}"
        if entry.name in methods_by_name:
            owner = methods_by_name[entry.name].source or "sobench itself"
            raise RequestError(
                f"{where}: {owner} has a method of this name; give the entry point another name"
            )
        row = replace(_load(entry, where), source=_source(entry), package=entry.module)
        problem = _problem_of_row(entry.name, row)
        if problem:
            raise RequestError(f"{where}: {problem}")
        methods_by_name[entry.name], places[entry.name] = row, where
    # Only now, since a row may come before the one that it needs.
    for name, row in methods_by_name.items():
        for need in row.needs:
            needed = methods_by_name.get(need.method)
            if needed is None or needed.source or needed.needs:
                raise RequestError(
                    f"{places[name]}: needs: {need.method!r} is not a built-in method that needs "
                    "no run itself; name one"
                )
    return methods_by_name


def get_method(name: str) -> Method:
    """The row of one method.

    Raises:
        KeyError: there is no such method.
    """
    return methods()[name]


def _built_in() -> list[EntryPoint]:
    """The folders of the built-in methods, as if each were installed by a package."""
    folder = import_module(_BUILT_IN).__path__
    names = sorted(module.name for module in iter_modules(folder) if module.ispkg)
    return [EntryPoint(name, f"{_BUILT_IN}.{name}:METHOD", GROUP) for name in names]


def _source(entry: EntryPoint) -> str:
    """Name and version of the distribution that an entry point belongs to; empty for our own."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""


def _load(entry: EntryPoint, where: str) -> Method:
    try:
        row = entry.load()
    except Exception as error:  # whatever another package does while it is imported
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RequestError(
            f"{where}: cannot be imported ({why});\nfix the package or uninstall it"
        ) from error
    if not isinstance(row, Method):
        raise RequestError(f"{where}: is a {type(row).__name__}; let it name a {__name__}.Method")
    return row


def _problem_of_row(name: str, row: Method) -> str:
    """The first mistake in a row, and the way out; empty if there is none."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return f"{name!r} names a folder of results; use letters, digits, '.', '_' and '-'"
    for key in ("heads", "deviations", "needs", "rules"):
        value = getattr(row, key)
        if not isinstance(value, tuple):
            return f"{key}: {value!r} is not a tuple; write ({value!r},)"
    for head in row.heads:
        if head not in HEADS:
            return f"heads: unknown {head!r};{did_you_mean(head, HEADS)}"
    for key, switch in row.switches.items():
        if key in _KEYS_OF_AN_ENTRY:
            return f"switches: {key!r} is a key of every row; give the switch another name"
        if not isinstance(switch, Switch):
            return f"switches: {key}: {switch!r} is not a {__name__}.Switch; write one"
        if switch.default not in switch.values:
            return f"switches: {key}: its default {switch.default!r} is not one of its values"
    for need in row.needs:
        if not isinstance(need, Need):
            return f"needs: {need!r} is not a {__name__}.Need; write one"
    for rule in row.rules:
        if not callable(rule):
            return f"rules: {rule!r} is not a function of switches and suite; write one"
    return ""
