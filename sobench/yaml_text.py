"""YAML that people write by hand: read within limits, and values written as they would be in it.

Reading gives texts, numbers, truth values, ``None``, lists and mappings. Other tags of YAML are
refused, and a date is text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sobench.errors import RequestError
from sobench.regular_files import open_regular
from sobench.text import is_printable, plain, printable, quoted, shortened

MAX_BYTES = 2**20
MAX_DEPTH = 50
"""Levels of lists and mappings in each other, wherever an alias brings them from."""
MAX_VALUES = 50_000
"""Values of a document, those behind an alias counted at every place that names it."""
MAX_DIGITS = 40

_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset(_TAG + name for name in ("bool", "int", "float", "null", "merge"))
"""Tags that a plain scalar may mean. All else is text, also what YAML takes for a date."""


class UnreadableYaml(RequestError):  # noqa: N818
    """A text is not YAML, or exceeds a limit; says where, on one line."""


def read_yaml_file(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableYaml: it cannot be read, or its content not be used.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UnreadableYaml(f"cannot be read: it has more than {MAX_BYTES / 2**20:.0f} MiB")
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: other bytes than UTF-8
        why = getattr(error, "strerror", None) or error
        raise UnreadableYaml(f"cannot be read: {printable(str(why))}") from None
    return read_yaml(text)


def read_yaml(text: str) -> Any:
    """The value that a text of YAML stands for.

    Raises:
        UnreadableYaml: it is not YAML, has a tag, a key or a character that has no place there, or
            is too large.
    """
    try:
        return yaml.load(text, _BoundedLoader)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        problem = f"unacceptable character #x{ord(text[error.position]):04x}"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = printable(shortened(str(error.problem or error.context), 200), keep="\n")
    way_out = "" if "; " in problem else "; correct the YAML there"
    raise UnreadableYaml(f"line {line}, column {column}: {' '.join(problem.split())}{way_out}")


class _BoundedLoader(yaml.SafeLoader):
    """Safe YAML of bounded size, in which a key may be given only once."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.count = self.tallest = 0
        # By the node's identity, for the aliases that come later.
        self.extents: dict[int, tuple[int, int]] = {}
        self.flattened: set[int] = set()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node as the base class does, but stop where a limit is exceeded."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", f"{_TAG}str"):
            name = quoted(tag.replace(_TAG, "!!"))
            raise _error(f"tag {name} has no place here; write a plain value", event)
        count, tallest, self.tallest = self.count, self.tallest, 0
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _error(f"is nested more than {MAX_DEPTH} levels deep", event)
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self.extents:
                raise _error(f"{quoted(event.anchor)} contains itself", event)
            values, height = self.extents[id(node)]
        else:
            values, height = self.count - count + 1, self.tallest + 1
            self.extents[id(node)] = values, height
        self.depth -= 1
        self.count, self.tallest = count + values, max(tallest, height)
        if self.depth + height > MAX_DEPTH:
            raise _error(f"is nested more than {MAX_DEPTH} levels deep", event)
        if self.count > MAX_VALUES:
            raise _error(f"there are more than {MAX_VALUES} values up to here", event)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Bring in the values of `<<` as the base class does, but refuse a key given twice.

        A mapping that another one brings in is flattened for that one as well. Its keys are those
        that it is written with, and may be given once more by what it brings in itself; then its
        own value counts, which releases of PyYAML do not agree on for the mappings after it.
        """
        if id(node) not in self.flattened:
            self.flattened.add(id(node))
            self._check_keys(node)
            super().flatten_mapping(node)
            pairs = {(key.tag, key.value): (key, value) for key, value in node.value}
            node.value = list(pairs.values())

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: set[str | int] = set()
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":  # `<<`, whose values may be replaced
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise _error(f"key {shown(key)} is not text; quote it", key_node)
            if key in seen:
                raise _error(f"key {quoted(key)} is given twice", key_node)
            seen.add(key)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """A text; a terminal would obey the control characters that an escape can put in it."""
        text = str(self.construct_scalar(node))
        if not is_printable(text.replace("\n", "").replace("\t", "")):
            raise _error(f"control character in {quoted(text)}; leave it out", node)
        return text

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A number of a bounded number of digits."""
        is_int = node.tag == f"{_TAG}int"
        try:
            if len(node.value) > MAX_DIGITS:
                raise ValueError
            return self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)
        except (ValueError, OverflowError):
            raise _error(f"{quoted(node.value)} is not a valid number", node) from None


_BoundedLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _PLAIN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_BoundedLoader.add_constructor(f"{_TAG}str", _BoundedLoader.construct_text)
_BoundedLoader.add_constructor(f"{_TAG}merge", _BoundedLoader.construct_text)
_BoundedLoader.add_constructor(f"{_TAG}int", _BoundedLoader.construct_number)
_BoundedLoader.add_constructor(f"{_TAG}float", _BoundedLoader.construct_number)


def _error(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def as_written(value: Any) -> str:
    """A value as YAML on one line, as it may be written in a suite file."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def shown(value: Any) -> str:
    """Any value as a message shows it: as YAML, but printable and not too long."""
    return plain(as_written(_pruned(value, levels=3)))


def _pruned(value: Any, levels: int) -> Any:
    """The beginning of a value, so that writing it takes no longer than reading the message."""
    if isinstance(value, str):
        return shortened(str(value))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value)  # of a type of its own, it could not be written
    if isinstance(value, int):
        return int(value) if abs(value) < 10**MAX_DIGITS else f"over {MAX_DIGITS} digits"
    if isinstance(value, dict | list | tuple) and levels == 0:
        return "..."
    if isinstance(value, dict):
        pairs = list(value.items())
        pruned = {_pruned(k, 0): _pruned(v, levels - 1) for k, v in pairs[:_SHOWN]}
        return pruned | ({"...": "..."} if len(pairs) > _SHOWN else {})
    if isinstance(value, list | tuple):
        rest = ["..."] if len(value) > _SHOWN else []
        return [_pruned(item, levels - 1) for item in value[:_SHOWN]] + rest
    return f"of type {type(value).__name__}"


_SHOWN = 8
"""Values of a list or mapping that a message shows."""
