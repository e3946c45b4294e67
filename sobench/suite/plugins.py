"""Methods of other packages beside our own, by entry points of the group ``sobench.methods``."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from sobench.errors import RequestError, did_you_mean
from sobench.suite.catalog import HEADS, METHODS, Method, Switch

GROUP = "sobench.methods"
"""Entry points of this group name the rows."""


@cache
def methods() -> dict[str, Method]:
    """Every method there is: our own, then those of other packages by name.

    Raises:
        RequestError: an entry point cannot be imported, is no proper row, or its name is taken.
    """
    found = dict(METHODS)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        where = f"{GROUP}: {entry.name} = {entry.value!r} of {_package(entry)}"
        if entry.name in found:
            owner = found[entry.name].source or "sobench itself"
            raise RequestError(
                f"{where}: {owner} has a method of this name; name the entry point otherwise"
            )
        row = _load(entry, where)
        problem = _problem(entry.name, row)
        if problem:
            raise RequestError(f"{where}: {problem}")
        found[entry.name] = replace(row, source=_package(entry))
    return found


def _package(entry: EntryPoint) -> str:
    """Name and version of the distribution that an entry point belongs to."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def _load(entry: EntryPoint, where: str) -> Method:
    try:
        row = entry.load()
    except Exception as error:  # whatever another package does while it is imported
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RequestError(
            f"{where}: cannot be imported ({why});\nmend the package or uninstall it"
        ) from error
    if not isinstance(row, Method):
        raise RequestError(
            f"{where}: is a {type(row).__name__}; let it name a sobench.suite.catalog.Method"
        )
    return row


def _problem(name: str, row: Method) -> str:
    """What is wrong with a row of another package, and the way out; empty if nothing is."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return f"{name!r} names a folder of results; use letters, digits, '.', '_' and '-'"
    if not row.module:
        return "module is empty; name the module that has build(backbone, config, switches)"
    for key, texts in (("heads", row.heads), ("deviations", row.deviations)):
        if not isinstance(texts, tuple):
            return f"{key}: {texts!r} is no tuple; write ({texts!r},)"
    for head in row.heads:
        if head not in HEADS:
            return f"heads: unknown {head!r};{did_you_mean(head, HEADS)}"
    for key, switch in row.switches.items():
        if key in ("name", "label", "init_from", "deviations"):
            return f"switches: {key!r} is a key of every row of a suite; call the switch otherwise"
        if not isinstance(switch, Switch):
            return f"switches: {key}: {switch!r} is no sobench.suite.catalog.Switch; write one"
        if switch.default not in switch.values:
            return f"switches: {key}: its default {switch.default!r} is none of its values"
    for need in row.needs:
        if need.method not in METHODS or METHODS[need.method].needs:
            return f"needs: {need.method!r} is none of our methods that need no run themselves"
    return ""
