"""The reference of all keys of a suite file, made from the sections and their docstrings.

``python -m sobench.report.keys docs/suite.md`` writes it between the markers of that page.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sobench.files import write_atomic
from sobench.suite.section import Section
from sobench.suite.sections import MethodEntry, Suite
from sobench.yaml_text import as_written

BEGIN = "<!-- The rest of this page is made from the code by `make docs`; do not edit it. -->\n"
END = "<!-- end of the generated part -->\n"

_ROW_KEYS = {"switches": "SWITCH", "deviations": "deviations.KEY", "reason": "deviations.reason"}
"""Fields of a row of ``methods`` that a suite file writes under other keys."""

_MAPPINGS = {"init_classes": "init_classes.CLASS"}
"""Fields whose keys are the user's."""

_DEFAULTS = {
    "name": "the file's name",
    "title": "the name",
    "anchors.octaves": "the head's",
    "methods[].label": "the method's name",
    "methods[].SWITCH": "the method's",
    "methods[].deviations.reason": "required with deviations",
}
"""Defaults that the reader fills in, so that they are not those of the field."""

_BOUNDS = {
    "gt": "> {}",
    "ge": ">= {}",
    "lt": "< {}",
    "le": "<= {}",
    "multiple_of": "multiple of {}",
}
"""Limits that pydantic holds a number to, by the attribute of its constraint."""

_TYPES = {int: "whole number", float: "number", str: "text", bool: "true or false", Any: "any"}


@dataclass(frozen=True)
class Key:
    """One key of a suite file, in words.

    Attributes:
        section: heading that the key belongs under; empty for keys of the suite itself.
        name: with dots, as ``--set`` takes it.
        kind: type and range.
        default: as YAML, ``required``, or ``none``.
        meaning: with units; code in double backticks.
    """

    section: str
    name: str
    kind: str
    default: str
    meaning: str


def suite_keys() -> list[Key]:
    """Every key of a suite file, in the order of the sections."""
    return [key for heading, section in _sections() for key in _keys(heading, section)]


def keys_table() -> tuple[list[str], list[list[str]]]:
    """Headings and rows for a terminal; a key of one dataset format names it."""
    table_rows = []
    for key in suite_keys():
        _, _, dataset_format = key.section.partition("format: ")
        name = f"{key.name} ({dataset_format})" if dataset_format else key.name
        cells = [name, key.kind, key.default, key.meaning]
        table_rows.append([cell.replace("``", "") for cell in cells])
    return ["key", "type", "default", "meaning"], table_rows


def keys_markdown() -> str:
    """The reference: a heading and a table for each section."""
    lines = ["## All keys", "", *_markdown_table(_keys("", Suite))]
    for heading, section in _sections():
        if section is not Suite:
            lines += ["", f"### {heading}", "", inspect.getdoc(section) or "", ""]
            lines += _markdown_table(_keys(heading, section))
    return "\n".join(lines).replace("``", "`") + "\n"


def with_keys(page: str) -> str:
    """A page with the part between its markers generated anew.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN.strip()!r} or {END.strip()!r}; put both in it")
    return f"{before}{BEGIN}\n{keys_markdown()}\n{END}{after}"


def _sections(
    prefix: str = "", section: type[BaseModel] = Suite
) -> Iterator[tuple[str, type[BaseModel]]]:
    """Heading and class of every section, a section before those inside it."""
    yield prefix, section
    for name, field in section.model_fields.items():
        inner = _inner_sections(field.annotation)
        for choice in inner:
            heading = f"{prefix}.{name}" if prefix else name
            if len(inner) > 1:
                heading += f", format: {get_args(choice.model_fields['format'].annotation)[0]}"
            yield from _sections(heading, choice)


def _keys(heading: str, section: type[BaseModel]) -> list[Key]:
    prefix = heading.partition(",")[0] + ("[]" if section is MethodEntry else "")
    keys = []
    for field_name, field in section.model_fields.items():
        own_names = _ROW_KEYS if section is MethodEntry else _MAPPINGS
        name = own_names.get(field_name, field_name)
        name = f"{prefix}.{name}" if prefix else name
        default = _DEFAULTS.get(name) or _default(field)
        meaning = _docstrings(section.__module__).get(section.__name__, {}).get(field_name, "")
        keys.append(Key(heading, name, _kind(field.annotation, field.metadata), default, meaning))
    return keys


def _inner_sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections in an annotation: one, several for a choice, or those of a list's rows."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, Section) else []
    return [section for part in get_args(annotation) for section in _inner_sections(part)]


def _kind(annotation: Any, metadata: list[Any]) -> str:
    """A type in words, with the range that pydantic holds it to."""
    kind = _plain_kind(annotation)
    bounds = [
        text.format(getattr(constraint, name))
        for constraint in metadata
        for name, text in _BOUNDS.items()
        if hasattr(constraint, name)
    ]
    return f"{kind} {', '.join(bounds)}" if bounds else kind


def _plain_kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if _inner_sections(annotation):
        return "list of rows" if origin is tuple else "section"
    if origin is Annotated:
        details = [bound for info in arguments[1:] for bound in getattr(info, "metadata", ())]
        return _kind(arguments[0], details)
    if origin is Literal:
        return _alternatives([f"``{value}``" for value in arguments])
    if origin in (Union, UnionType):
        return _alternatives([_plain_kind(part) for part in arguments if part is not NoneType])
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of: {_plain_kind(arguments[0])}"
    if origin is tuple:
        return f"list of {len(arguments)}: {_plain_kind(arguments[0])}"
    if origin is dict:
        return _plain_kind(arguments[1])
    return _TYPES[annotation]


def _alternatives(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its defaults"
    if value is None or value in ("", {}):
        return "none"
    return f"``{as_written(list(value) if isinstance(value, tuple) else value)}``"


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> the docstring beneath the field, on one line."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        node.name: {
            field.target.id: " ".join(text.value.value.split())
            for field, text in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _markdown_table(keys: list[Key]) -> list[str]:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in keys:
        cells = (f"``{key.name}``", key.kind, key.default, key.meaning)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path = Path(argument)
        write_atomic(path, with_keys(path.read_text(encoding="utf-8")).encode())
