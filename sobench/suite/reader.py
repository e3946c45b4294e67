"""YAML -> frozen ``Suite``. An unknown key is an error that names the nearest valid one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sobench.errors import SuiteError, did_you_mean, reason_of
from sobench.suite.heads import HEADS
from sobench.suite.methods import get_method, method_names
from sobench.suite.paths import is_place
from sobench.suite.problems import check_fitted, check_keys, first_problem
from sobench.suite.section import LONGEST_PATH
from sobench.suite.sections import MethodEntry, Suite
from sobench.suite.tuned import Choice, overlapping, read_choices
from sobench.text import quoted, shortened
from sobench.yaml_text import UnreadableYaml, read_yaml_file, shown

_SAME_FOR_ALL = (
    "name", "title", "dataset", "device", "compile", "seeds",
    "protocol", "engine", "evaluate_every", "eval_sizes", "keep_background", "init_from",
    "init_classes", "tuned", "methods",
)  # fmt: skip
"""Keys from which no row may deviate, or the rows could no longer be compared."""

_LEVELS = 4
"""Dots of a key that are looked at; no section lies deeper."""


def load(path: Path | str, overrides: dict[str, Any] | None = None) -> Suite:
    """Read and check a suite file.

    Args:
        path: the YAML file; relative paths in it are relative to its folder.
        overrides: dotted key -> value in place of the file's, such as ``{"schedule.lr": 0.02}``;
            relative paths in them are relative to the working folder.

    Raises:
        SuiteError: the file cannot be read or is not a valid suite.
    """
    path = Path(path)
    content = _with_absolute_paths(_read_yaml(path), path.parent)
    for key, value in (overrides or {}).items():
        _override(content, key, value, str(path))
    # Paths that are still relative come from the overrides.
    return parse(_with_absolute_paths(content, Path()), path)


def parse(content: dict[str, Any], path: Path) -> Suite:
    """Check the content of a suite file; ``path`` names it in errors.

    Raises:
        SuiteError: the content is not a valid suite.
    """
    content = {"name": path.stem} | content
    # Rows are spelt out first: their switches are keys of the method, not of a section.
    entries = content.get("methods")
    if isinstance(entries, list):
        content["methods"] = [
            _method_entry(entry, number, path) for number, entry in enumerate(entries, 1)
        ]
    # Unknown keys are looked for before pydantic does, for a message that helps.
    check_keys(content, Suite, "", str(path))
    check_fitted(content.get("anchors"), str(path))
    suite = _validate(content, str(path))
    # Deviations are applied only when a run is planned; a wrong one is an error of the file.
    choices = read_choices(suite)
    for entry in suite.methods:
        with_deviations(suite, entry, path, choices.get(entry.label))
    return suite


def with_deviations(
    suite: Suite, entry: MethodEntry, path: Path, choice: Choice | None = None
) -> Suite:
    """The suite as this row runs it: with the row's declared deviations in place of its values.

    Args:
        path: names the suite in errors.
        choice: further values that were chosen for the row, or that are tried.

    Raises:
        SuiteError: a deviation is unknown, wrong, or of a key that must be the same for all rows;
            or it is of a key that the choice has too; or the method does not work with this head,
            these switches or settings. A method whose package is broken is no error of the suite:
            see ``Run.defect``.
    """
    place = f"{path}: methods: {entry.label}"
    row_suite = _deviating_suite(suite, entry.deviations, f"{place}: deviations")
    if choice is not None:
        source = f"{choice.source}: {entry.label}"
        for key in choice.values:
            if own := overlapping(key, entry.deviations):
                raise SuiteError(
                    f"{source}: {shortened(key)}: the row has the deviation {shortened(own)}; "
                    "take it out, or leave the row untuned"
                )
        row_suite = _deviating_suite(row_suite, choice.values, source)
    method = get_method(entry.name)
    baseline = method.baseline(entry.switches)
    if baseline and suite.starts_outside(entry):
        raise SuiteError(
            f"{place}: init_from: {entry.name} starts from its own run of {baseline.method}; leave "
            "it out, and write init_from beside methods, from which that run starts"
        )
    origin = {row.label: row.name for row in suite.methods}.get(entry.init_from)
    if baseline and origin == baseline.method:
        raise SuiteError(
            f"{place}: init_from: {entry.name} goes on from a run of {baseline.method} anyway; "
            "leave it out"
        )
    problem = method.problem(entry.switches, row_suite)
    if problem:
        raise SuiteError(f"{place}: {problem}")
    return row_suite


def _deviating_suite(suite: Suite, deviations: Mapping[str, Any], source: str) -> Suite:
    """The suite with other values by their dotted keys, not yet checked by a row's method.

    A row with another head takes that head's anchors wherever the suite has those of its own head.
    """
    if not deviations:
        return suite
    content = suite.model_dump(mode="json")
    check_fitted(deviations.get("anchors"), source)
    if "head" in deviations:
        content["anchors"] = _anchors_beyond_head(suite)
    for key, value in deviations.items():
        if str(key).partition(".")[0] in _SAME_FOR_ALL:
            raise SuiteError(
                f"{source}: {shortened(key)} must be the same for every row; "
                "write another suite instead"
            )
        _override(content, key, value, source)
    check_keys(content, Suite, "", source)
    return _validate(content, source)


def _anchors_beyond_head(suite: Suite) -> dict[str, Any]:
    """The anchor settings of the suite that differ from the defaults of its head."""
    anchors = suite.anchors.model_dump(mode="json")
    head_defaults = {"octaves": HEADS[suite.head].octaves}
    return {key: value for key, value in anchors.items() if head_defaults.get(key) != value}


def _validate(content: dict[str, Any], source: str) -> Suite:
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise SuiteError(f"{source}: {first_problem(error)}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml_file(path)
    except FileNotFoundError:
        raise SuiteError(
            f"{path}: no such suite file; `sobench list suites` shows those at hand"
        ) from None
    except UnreadableYaml as error:
        raise SuiteError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise SuiteError(f"{path}: a suite consists of keys and values, such as `name: smoke`")
    return content


def _with_absolute_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The content with relative paths made absolute, except those that begin with $ or ~."""

    def absolute(section: Any, key: str, place: str, words: Collection[str] = ()) -> Any:
        """A section with an absolute path under ``key``, if there is a path and none of words."""
        value = section.get(key) if isinstance(section, dict) else None
        if not isinstance(value, str) or value in words:
            return section
        return section | {key: _absolute(value, folder, place)}

    content = dict(content)
    if "dataset" in content:
        content["dataset"] = absolute(content["dataset"], "root", "dataset.root")
    if "backbone" in content:
        words = ("none", "imagenet")
        content["backbone"] = absolute(content["backbone"], "weights", "backbone.weights", words)
    content = absolute(content, "tuned", "tuned", ("none",))
    if is_place(str(content.get("init_from", ""))):
        content = absolute(content, "init_from", "init_from")
    rows = content.get("methods")
    if not isinstance(rows, list):
        return content
    labels = [str(row.get("label", row.get("name"))) for row in rows if isinstance(row, dict)]
    content["methods"] = [
        absolute(row, "init_from", "methods: init_from", labels)
        if isinstance(row, dict) and is_place(str(row.get("init_from", "")))
        else row
        for row in rows
    ]
    return content


def _absolute(path: str, folder: Path, place: str) -> str:
    if path.startswith(("/", "~", "$")) or len(path) > LONGEST_PATH:
        return path
    try:
        return str((folder / path).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a NUL
        raise SuiteError(
            f"{place}: {shown(path)} is not a usable path ({reason_of(error)}); name another one"
        ) from None


def _override(content: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Set a dotted key in the content; sections on the way are copied, not changed."""
    *parents, last = str(key).split(".", _LEVELS)
    section = content
    for depth, name in enumerate(parents):
        inner = section.setdefault(name, {})
        if not isinstance(inner, dict):
            parent = ".".join(parents[: depth + 1])
            raise SuiteError(
                f"{source}: {shortened(key)}: {parent} is not a section; set {parent} as a whole"
            )
        section[name] = section = dict(inner)
    section[last] = value


def _method_entry(row: Any, number: int, path: Path) -> dict[str, Any]:
    """``fpn`` or ``{name: fpn, label: ..., deviations: {...}, SWITCH: ...}`` -> a MethodEntry."""
    if isinstance(row, str):
        row = {"name": row}
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise SuiteError(
            f"{path}: methods: row {number} is {shown(row)}; write `- fpn` or `- name: fpn`"
        )
    row = {str(key): value for key, value in row.items()}
    name = row.pop("name")
    if name not in method_names():
        raise SuiteError(
            f"{path}: methods: unknown method {quoted(name)};{did_you_mean(name, method_names())}"
        )
    deviations = row.pop("deviations", {})
    if not isinstance(deviations, dict) or (deviations and not deviations.get("reason")):
        raise SuiteError(
            f"{path}: methods: {name}: deviations need a reason; "
            'write {key: value, reason: "..."}'
        )
    deviations = {str(key): value for key, value in deviations.items()}
    reason = deviations.pop("reason", "")
    entry = {"name": name, "label": row.pop("label", name), "deviations": deviations}
    if "init_from" in row:
        entry["init_from"] = row.pop("init_from")
        if not isinstance(entry["init_from"], str) or not entry["init_from"]:
            raise SuiteError(
                f"{path}: methods: {shown(entry['label'])}: init_from: "
                f"{shown(entry['init_from'])} is not a label; write that of another row, or a path"
            )
    # All keys that are left must be switches.
    return entry | {"reason": reason, "switches": _switches(name, row, path)}


def _switches(name: str, chosen: dict[str, Any], path: Path) -> dict[str, Any]:
    """The values of all switches of a method, from those that its row sets."""
    method = get_method(name)
    if method.broken:  # nobody knows what it would take
        return chosen
    switches = method.switches
    for key, value in chosen.items():
        if key not in switches:
            valid_keys = (*switches, "label", "init_from", "deviations")
            raise SuiteError(
                f"{path}: methods: {name}: unknown key {quoted(key)};"
                f"{did_you_mean(key, valid_keys)}"
            )
        values = switches[key].values
        # True == 1, but neither may be written for the other.
        if not any(value == v and type(value) is type(v) for v in values):
            raise SuiteError(
                f"{path}: methods: {name}: {key}: {shown(value)} is not one of "
                f"{', '.join(map(shown, values))}"
            )
    resolved = {key: chosen.get(key, switch.default) for key, switch in switches.items()}
    for key in chosen:
        for other, needed in switches[key].needs.items():
            if resolved[other] != needed:
                raise SuiteError(
                    f"{path}: methods: {name}: {key} has no effect with {other}: "
                    f"{shown(resolved[other])}; leave it out, or write {other}: {shown(needed)}"
                )
    return resolved
