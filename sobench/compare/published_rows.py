"""The row of a suite that stands beside a published row: the same method, the same network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sobench.compare.published import Counterpart, Row, Table
from sobench.suite.further_tests import further_tests
from sobench.suite.methods import get_method
from sobench.suite.sections import MethodEntry, Suite

_NETWORK = ("input.size", "backbone.name")
"""Keys that make another network: one row cannot stand beside another that differs in them."""


@dataclass(frozen=True)
class Here:
    """The row of a suite that stands beside a published row.

    Attributes:
        label: of the row.
        test: title of the further test that is meant; empty for the suite's own input.
    """

    label: str
    test: str = ""

    @property
    def text(self) -> str:
        """The row as people read it."""
        return f"{self.label}, {self.test}" if self.test else self.label


def beside(table: Table, row: Row, entries: Sequence[tuple[MethodEntry, Suite]]) -> Here | None:
    """The row of the suite that is most like a published one, with the fewest differences."""
    for method in row.methods:
        fitting = [
            (_extras(entry, method), number, entry.label)
            for number, (entry, entry_suite) in enumerate(entries)
            if _fits(table, row, method, entry, entry_suite) and _is_tested(method, entry_suite)
        ]
        if fitting:
            return Here(min(fitting)[2], method.test)
    return None


def _fits(table: Table, row: Row, method: Counterpart, entry: MethodEntry, suite: Suite) -> bool:
    """Whether a row of a suite, whose settings are ``suite``, is the method of a published one.

    What all rows of the table have in common may differ. What sets the published row apart from
    the others must be the same, as far as a suite can have it, and so must the head, if the method
    does not bring its own. Nor may the row of the suite deviate to a network that the table lacks.
    """
    if entry.name != method.name:
        return False
    if any(entry.switches.get(key) != value for key, value in method.switches.items()):
        return False
    apart = table.row_settings(row)
    stated = apart if row.cited else table.settings | apart
    if get_method(entry.name).heads and stated.get("head") not in (None, suite.head):
        return False
    needed = [key for key, value in apart.items() if key in _NETWORK or not isinstance(value, str)]
    needed += [key for key in _NETWORK if key in entry.deviations and key in stated]
    return all(agree(key, stated[key], value_of(suite, key)) for key in needed)


def _is_tested(method: Counterpart, suite: Suite) -> bool:
    return not method.test or method.test in {test.title for test in further_tests(suite)}


def _extras(entry: MethodEntry, method: Counterpart) -> int:
    """How many things of a row are its own beyond those that a published row names."""
    switches = get_method(entry.name).switches
    own = [key for key, switch in switches.items() if entry.switches.get(key) != switch.default]
    return len({*own} - {*method.switches}) + len(entry.deviations) + bool(entry.init_from)


def value_of(suite: Suite, key: str) -> Any:
    """The value of a dotted key, with lists for tuples."""
    value: Any = suite
    for name in key.split("."):
        value = getattr(value, name)
    return _listed(value)


def _listed(value: Any) -> Any:
    return list(map(_listed, value)) if isinstance(value, tuple) else value


def agree(key: str, there: Any, here: Any) -> bool:
    """Whether two values are the same; that of a split is a part of its path."""
    if key.startswith("dataset.") and isinstance(there, str):
        return there in here
    return bool(there == here)
