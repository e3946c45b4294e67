"""The table of the methods, and the packages that their rows come from.

A method is a package: its ``__init__.py`` holds the row ``METHOD`` and imports no torch, its
``model.py`` has ``build(backbone, config, switches) -> Detector``. The built-in ones are the
folders of ``sobench/models/methods/``; other packages bring theirs by entry points of the group
``sobench.methods``. Suites and the leaderboard call a method by the name of its folder or entry
point. A package is imported when one of its methods is asked for, and not before.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, distributions
from pkgutil import iter_modules

from sobench.errors import reason_of
from sobench.suite.foreign import foreign_code
from sobench.suite.method import Condition as Condition
from sobench.suite.method import Method as Method
from sobench.suite.method import Need as Need
from sobench.suite.method import Rule as Rule
from sobench.suite.method import Switch as Switch
from sobench.suite.method import SwitchValue as SwitchValue
from sobench.suite.method import When as When
from sobench.suite.method_check import mistake_in_name, mistake_in_row
from sobench.text import quoted

GROUP = "sobench.methods"
"""Entry points of this group name the rows of other packages."""

_BUILT_IN = "sobench.models.methods"
"""The package whose folders are the built-in methods."""


def method_names() -> list[str]:
    """The names of the built-in methods, then of those of other packages; imports none of them."""
    return list(_entry_points())


def methods() -> dict[str, Method]:
    """Every method by its name, in the order of ``method_names``; imports all their packages."""
    return {name: get_method(name) for name in method_names()}


@cache
def get_method(name: str) -> Method:
    """The row of one method; if it cannot be used, a row that says so in ``broken``.

    Raises:
        KeyError: there is no such method.
    """
    entry, *others = _entry_points()[name]
    source, where = _source(entry), f"{GROUP}: {quoted(name)[1:-1]}"
    try:
        where = f"{where} = {quoted(entry.value)} of {source or 'sobench itself'}"
        if others:
            return _broken(
                source,
                f"{where}: {_source(others[0])} has a method of this name as well; "
                "uninstall one of them, or give its entry point another name",
            )
        if mistake := mistake_in_name(name):
            return _broken(source, f"{where}: {mistake}")
        with foreign_code():
            row = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever another package does while it is imported
        why = f"cannot be imported ({reason_of(error)}); fix the package or uninstall it"
        return _broken(source, f"{where}: {why}")
    if mistake := mistake_in_row(row) or _mistake_in_needs(row):
        return _broken(source, f"{where}: {mistake}")
    method: Method = replace(row, source=source, package=entry.module)
    return method


def _broken(source: str, problem: str) -> Method:
    return Method(title="cannot be used", paper="", source=source, broken=problem)


def _mistake_in_needs(row: Method) -> str:
    """What a row needs that it cannot have, and the way out; empty if there is nothing."""
    for need in row.needs:
        is_ours = need.method in _entry_points() and not _entry_points()[need.method][0].dist
        needed = get_method(need.method) if is_ours else None
        if needed and needed.broken:
            return f"needs {need.method}, which cannot be used: {needed.broken}"
        if needed is None or needed.needs:
            return (
                f"needs: {quoted(need.method)} is not a built-in method that needs no run itself; "
                "name one"
            )
    return ""


@cache
def _entry_points() -> dict[str, list[EntryPoint]]:
    """Name -> the built-in folder or the packages that bring it; more than one is a mistake."""
    points: dict[str, list[EntryPoint]] = {}
    for entry in [*_built_in(), *sorted(_of_packages(), key=lambda e: (e.name, e.value))]:
        points.setdefault(entry.name, []).append(entry)
    return points


def _built_in() -> list[EntryPoint]:
    """The folders of the built-in methods, as if each were installed by a package."""
    folder = import_module(_BUILT_IN).__path__
    names = sorted(module.name for module in iter_modules(folder) if module.ispkg)
    return [EntryPoint(name, f"{_BUILT_IN}.{name}:METHOD", GROUP) for name in names]


def _of_packages() -> list[EntryPoint]:
    """The entry points of all installed packages; one whose files cannot be read has none."""
    points: dict[str, list[EntryPoint]] = {}
    for package in distributions():
        try:
            brought = [entry for entry in package.entry_points if entry.group == GROUP]
            if brought:  # of two installations the first is the one that Python imports
                points.setdefault(package.name, brought)
        except Exception:
            continue
    return [entry for brought in points.values() for entry in brought]


def _source(entry: EntryPoint) -> str:
    """Name and version of the distribution that an entry point belongs to; empty for our own."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
