"""Whether the row of a method is one: every field of the type that it must have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from sobench.errors import did_you_mean
from sobench.suite.heads import HEADS
from sobench.suite.method import Method, Need, Switch, When
from sobench.text import is_printable, quoted
from sobench.yaml_text import shown

_KEYS_OF_AN_ENTRY = ("name", "label", "init_from", "deviations")
"""Keys that every method entry of a suite may have, so no switch can have their names."""

_NORMS = ("none", "group")
_LARGEST_SCALE = 8
_LARGEST_NUMBER = 2**53
_LONGEST_VALUE, _LONGEST_TEXT = 100, 500


def mistake_in_name(name: str) -> str:
    """Why no method can have this name, and the way out; empty if one can."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        return ""
    return f"{quoted(name)} names a folder of results; use letters, digits, '.', '_' and '-'"


def mistake_in_row(row: object) -> str:
    """The first mistake in what an entry point names, and the way out; empty if there is none."""
    if type(row) is not Method:  # a subclass may do anything
        return f"is a {type(row).__name__}; let it name a sobench.Method"
    return next(_mistakes(row), "")


def _mistakes(row: Method) -> Iterator[str]:
    yield from _in_texts("", title=row.title, paper=row.paper)
    for key in ("source", "package", "broken"):
        value = getattr(row, key)
        if type(value) is not str or value:
            yield f"{key}: is filled in by sobench; leave it out"
    if type(row.version) is not int or not 1 <= row.version <= _LARGEST_NUMBER:
        yield f"version: {_as_python(row.version)} is not a whole number from 1; count up from 1"
    for key in ("heads", "deviations", "needs", "rules"):
        value = getattr(row, key)
        if not isinstance(value, tuple):
            yield f"{key}: {_as_python(value)} is not a tuple; write {key}=(...,)"
            return
    if not isinstance(row.switches, dict):
        yield f"switches: {_as_python(row.switches)} is not a dictionary; write {{name: Switch}}"
        return
    for head in row.heads:
        yield from _in_head("heads", head)
    for key, switch in row.switches.items():
        yield from _in_switch(row, key, switch)
    for deviation in row.deviations:
        yield from _in_deviation(row, deviation)
    for need in row.needs:
        yield from _in_need(row, need)
    for rule in row.rules:
        if not callable(rule):
            yield f"rules: {_as_python(rule)} is not a function of switches and suite; write one"


def _in_switch(row: Method, key: object, switch: object) -> Iterator[str]:
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,49}", key):
        yield f"switches: {quoted(key)} is not a usable name; use letters, digits and '_'"
        return
    if key in _KEYS_OF_AN_ENTRY:
        yield f"switches: {key!r} is a key of every row; give the switch another name"
    where = f"switches: {key}"
    if type(switch) is not Switch:
        yield f"{where}: {_as_python(switch)} is not a sobench.Switch; write one"
        return
    if not isinstance(switch.values, tuple) or not switch.values:
        yield f"{where}: its values {_as_python(switch.values)} are not a tuple with a value"
        return
    for value in (*switch.values, switch.default):
        if not _is_plain(value):
            yield f"{where}: {_as_python(value)} is not a short text, a number, True or False"
            return
    if not _is_one_of(switch.default, switch.values):
        yield f"{where}: its default {switch.default!r} is not one of its values"
    yield from _in_texts(f"{where}: ", meaning=switch.meaning)
    yield from _in_condition(row, f"{where}: needs", switch.needs)
    if switch.head != "":
        yield from _in_head(f"{where}: head", switch.head)


def _in_deviation(row: Method, deviation: object) -> Iterator[str]:
    if isinstance(deviation, str):
        yield from _in_texts("", deviations=deviation)
        return
    if type(deviation) is not When:
        yield f"deviations: {_as_python(deviation)} is neither a text nor a sobench.When"
        return
    yield from _in_texts("deviations: ", text=deviation.text)
    yield from _in_condition(row, "deviations: switches", deviation.switches)
    if deviation.head != "":
        yield from _in_head("deviations: head", deviation.head)
    if deviation.norm not in ("", *_NORMS):
        yield f"deviations: norm: unknown {quoted(deviation.norm)};{did_you_mean('', _NORMS)}"
    if deviation.where is not None and not callable(deviation.where):
        yield f"deviations: where: {_as_python(deviation.where)} is not a function of a suite"


def _in_need(row: Method, need: object) -> Iterator[str]:
    if type(need) is not Need:
        yield f"needs: {_as_python(need)} is not a sobench.Need; write one"
        return
    yield from _in_texts("needs: ", role=need.role, method=need.method)
    is_whole = type(need.scale) is int and 1 <= need.scale <= _LARGEST_SCALE
    if not is_whole and not _is_one_of(need.scale, (0.5,)):
        scale = _as_python(need.scale)
        yield f"needs: scale: {scale} is neither 0.5 nor 1 to {_LARGEST_SCALE}; write one"
    yield from _in_condition(row, "needs: switches", need.switches)


def _in_condition(row: Method, where: str, condition: object) -> Iterator[str]:
    """Mistakes in values that switches of the row must have."""
    if not isinstance(condition, dict):
        yield f"{where}: {_as_python(condition)} is not a dictionary; write {{name: value}}"
        return
    for key, value in condition.items():
        switch = row.switches.get(key) if isinstance(key, str) else None
        if switch is None:
            yield f"{where}: no switch is called {quoted(key)};{did_you_mean(key, row.switches)}"
        elif not _is_one_of(value, switch.values):
            yield f"{where}: {key}: {_as_python(value)} is not one of its values"


def _in_head(where: str, head: object) -> Iterator[str]:
    if not isinstance(head, str) or head not in HEADS:
        yield f"{where}: unknown {quoted(head)};{did_you_mean(head, HEADS)}"


def _in_texts(where: str, **texts: object) -> Iterator[str]:
    for key, text in texts.items():
        if type(text) is not str:
            yield f"{where}{key}: {_as_python(text)} is not a text; write one"
        elif not is_printable(text) or len(text) > _LONGEST_TEXT:
            yield (
                f"{where}{key}: {quoted(text)} has control characters or more than "
                f"{_LONGEST_TEXT}; shorten it to one line"
            )


def _is_plain(value: object) -> bool:
    """Whether a value can be written in a suite file and in a table."""
    if type(value) is str:
        return is_printable(value) and value == value.strip() and len(value) <= _LONGEST_VALUE
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is bool or (type(value) is int and abs(value) <= _LARGEST_NUMBER)


def _is_one_of(value: object, values: tuple[Any, ...]) -> bool:
    """Whether a value is among others; True is not 1."""
    return any(type(value) is type(other) and value == other for other in values)


def _as_python(value: object) -> str:
    """A value as its row may have it, or its type if writing it may do anything."""
    if type(value) in (str, int, float, bool, type(None)):
        return quoted(value) if isinstance(value, str) else shown(value)
    return f"a {type(value).__name__}"
