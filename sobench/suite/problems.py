"""What is wrong with the content of a suite, in words that fit a YAML file."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sobench.errors import SuiteError, did_you_mean
from sobench.suite.datasets import DATASETS
from sobench.suite.section import Section
from sobench.text import plain, quoted, shortened
from sobench.yaml_text import shown


def check_keys(content: Any, model: type[BaseModel], where: str, source: str) -> None:
    """Refuse an unknown key, naming the nearest valid one.

    Args:
        content: of a section and those below it.
        model: the section.
        where: its key with a dot behind it; empty for the suite.
        source: the file or row, for messages.

    Raises:
        SuiteError: a key is unknown.
    """
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if key not in model.model_fields:
            name = f"{where}{key}"
            way_out = _FORMER.get(name) or _elsewhere(key, model)
            way_out = way_out or did_you_mean(key, model.model_fields)
            raise SuiteError(f"{source}: unknown key {quoted(name)};{way_out}")
        section = _section_of(model.model_fields[key], value)
        if section is not None:
            is_plain = section is model.model_fields[key].annotation
            if is_plain and not isinstance(value, dict) and isinstance(section, type):
                _refuse_plain(value, section, f"{where}{key}", source)
            check_keys(value, section, f"{where}{key}.", source)


def check_fitted(anchors: Any, source: str) -> None:
    """Refuse sizes beside ``fit: true``, also those that are the defaults, where they are written.

    ``Anchors`` itself sees no difference between a default and the same value in a file.

    Args:
        anchors: the section as a file or a row has it.

    Raises:
        SuiteError: there are both.
    """
    if not isinstance(anchors, dict) or anchors.get("fit") is not True:
        return
    for key in ("smallest", "ratios"):
        if key in anchors:
            raise SuiteError(
                f"{source}: anchors: fit: true finds {key} itself; leave one of the two out, or "
                "write anchors: fit for the whole section"
            )


_FORMER = {
    "anchors.scale": " write anchors.smallest, in pixels of the input: the scale times the stride "
    "of the finest level (8 for retinanet, 4 for faster_rcnn)",
}
"""Key of an earlier version -> what takes its place."""


def _elsewhere(key: object, model: type[BaseModel]) -> str:
    """`` did you mean 'schedule.lr'?`` for ``lr``; empty if not exactly one section has it."""
    sections = {name: field.annotation for name, field in model.model_fields.items()}
    holders = [
        name
        for name, section in sections.items()
        if isinstance(section, type) and key in getattr(section, "model_fields", ())
    ]
    return f" did you mean '{holders[0]}.{key}'?" if len(holders) == 1 else ""


def _refuse_plain(value: Any, section: type[BaseModel], name: str, source: str) -> None:
    """Refuse a section that is written as one value, naming its keys."""
    if isinstance(value, bool) or (name == "anchors" and value == "fit"):
        return  # said elsewhere; the one word that a section may be
    keys = ", ".join(section.model_fields)
    word = "fit, or " if name == "anchors" else ""
    raise SuiteError(
        f"{source}: {name}: {shown(value)} is wrong; write {word}keys and values below it, with "
        f"the keys {keys}; or leave it out"
    )


def _section_of(field: FieldInfo, value: Any) -> type[BaseModel] | None:
    """The Section that a field holds; among several, the one with the value's ``format``."""
    choices = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
    sections = [t for t in choices if get_origin(t) is None and issubclass(t, Section)]
    if len(sections) > 1 and isinstance(value, dict):
        sections = [
            t
            for t in sections
            if value.get("format") in get_args(t.model_fields["format"].annotation)
        ]
    return sections[0] if len(sections) == 1 else None


def first_problem(error: ValidationError) -> str:
    """One line for the first error of pydantic: key, value and the expected kind of value."""
    problem = error.errors()[0]
    # pydantic puts the chosen format into the path, as if it were a key.
    keys = [plain(name) for name in problem["loc"] if name not in DATASETS]
    key, value, context = ".".join(keys), problem["input"], problem.get("ctx", {})
    if problem["type"] == "value_error":
        # The sections' own checks name their key; pydantic adds the section that holds it.
        message = str(problem["msg"]).removeprefix("Value error, ")
        return f"{key}.{message}" if key else message
    if problem["type"] == "missing":
        if isinstance(problem["loc"][-1], int):
            return f"{'.'.join(keys[:-1])}: {shown(value)} has too few values"
        return f"{key} is missing"
    if problem["type"] == "union_tag_invalid":
        tag = str(context["tag"])
        return f"{key}.format: unknown {quoted(tag)};{did_you_mean(tag, DATASETS)}"
    if problem["type"] == "union_tag_not_found":
        return f"{key}.format is missing; known: {', '.join(DATASETS)}"
    if problem["type"] == "literal_error":
        valid_values = re.findall(r"'([^']*)'", context["expected"])
        return f"{key}: unknown {quoted(value)};{did_you_mean(value, valid_values)}"
    template = _EXPECTED.get(problem["type"])
    expected = template.format(**context) if template else shortened(str(problem["msg"]), 300)
    return f"{key}: {shown(value)} is wrong; {expected}"


_EXPECTED = {
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "finite_number": "write a finite number",
    "string_type": "write text; quote it if it looks like a number",
    "string_pattern_mismatch": "use letters, digits, '.', '_', '-'; begin with a letter or digit",
    "dict_type": "write keys and values below it, such as {{key: value}}",
    "tuple_type": "write a list, such as [1, 2]",
    "string_too_short": "write some text",
    "string_too_long": "write at most {max_length} characters",
    "string_unicode": "it has characters that cannot be written",
    "unprintable": "leave out control characters and line breaks",
    "int_parsing_size": "write a smaller number",
    "too_long": "write at most {max_length} values",
    "too_short": "write at least {min_length}",
    "model_type": "write keys and values below it, such as {{key: value}}",
    "model_attributes_type": "write keys and values below it, such as {{key: value}}",
    "greater_than": "it must be greater than {gt:g}",
    "greater_than_equal": "it must be at least {ge:g}",
    "less_than": "it must be less than {lt:g}",
    "less_than_equal": "it must be at most {le:g}",
    "multiple_of": "it must be a multiple of {multiple_of:g}",
}
"""Type of pydantic's error -> the expected kind of value, in words that fit a YAML file."""
