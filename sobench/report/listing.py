"""Lists of the methods, heads, dataset formats, protocols, suites and keys of suites."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from sobench.errors import SuiteError
from sobench.report.keys import keys_table
from sobench.report.terminal import print_entries, print_lines
from sobench.suite.datasets import DATASETS
from sobench.suite.heads import HEADS
from sobench.suite.method import name_of
from sobench.suite.methods import Method, Need, Switch, When, methods
from sobench.suite.protocols import INFINITE_AREA, PROTOCOLS
from sobench.suite.reader import load
from sobench.text import shortened
from sobench.yaml_text import as_written


def print_list(kind: str, console: Console) -> None:
    """Print a table: ``methods``, ``heads``, ``datasets``, ``protocols``, ``suites``, ``keys``."""
    tables = {
        "methods": _methods,
        "heads": _heads,
        "datasets": _datasets,
        "protocols": _protocols,
        "suites": _suites,
        "keys": keys_table,
    }
    headings, table_rows = tables[kind]()
    print_entries(console, headings, table_rows)
    for name, method in methods().items() if kind == "methods" else ():
        _print_method(name, method, console)


def _print_method(name: str, method: Method, console: Console) -> None:
    """What a row of the table has no room for: its package, switches, needs and deviations."""
    if method.broken:
        print_lines(console, [f"{name} cannot be used: {method.broken}"], style="")
        return
    if method.source:
        print_lines(console, [f"{name} comes from {method.source}, {method.package}"], style="")
    for key, switch in method.switches.items():
        values = ", ".join(map(as_written, switch.values))
        default = f"(default {as_written(switch.default)})"
        text = f"{name}  {key}: {values} {default}: {switch.meaning}{_needs(switch)}"
        print_lines(console, [text])
    lines = [f"{name} {_required(need)}" for need in method.needs]
    lines += [f"{name} deviates{_condition(deviation)}" for deviation in method.deviations]
    print_lines(console, lines, style="")


def _needs(switch: Switch) -> str:
    """The condition under which a switch has an effect; empty if there is none."""
    needs = [f"{key}: {as_written(value)}" for key, value in switch.needs.items()]
    needs += [f"head: {switch.head}"] if switch.head else []
    return f" (with {', '.join(needs)})" if needs else ""


def _required(need: Need) -> str:
    """The run that a method requires, and the condition for it."""
    size = f" at {need.scale:g} times the input size" if need.scale != 1 else ""
    when = [f"{key}: {as_written(value)}" for key, value in need.switches.items()]
    condition = f" with {', '.join(when)}" if when else ""
    return f"requires{condition}: a run of {need.method}{size}, as {need.role}"


def _condition(deviation: str | When) -> str:
    """The condition under which a deviation holds, and the deviation."""
    if isinstance(deviation, str):
        return f": {deviation}"
    when = [f"{key}: {as_written(value)}" for key, value in deviation.switches.items()]
    when += [f"neck.norm: {deviation.norm}"] if deviation.norm else []
    under = f" under {deviation.head}" if deviation.head else ""
    where = ""
    if deviation.where is not None:
        where = f" where {name_of(deviation.where).replace('_', ' ')}"
    return f"{under}{' with ' if when else ''}{', '.join(when)}{where}: {deviation.text}"


def _methods() -> tuple[list[str], list[list[str]]]:
    table_rows = [
        [name, method.title, _heads_of(method), method.paper or "-"]
        for name, method in methods().items()
    ]
    return ["method", "title", "heads", "paper"], table_rows


def _heads_of(method: Method) -> str:
    return "-" if method.broken else ", ".join(method.heads) or "its own"


def _heads() -> tuple[list[str], list[list[str]]]:
    table_rows = [[name, head.title, head.paper] for name, head in HEADS.items()]
    return ["head", "title", "paper"], table_rows


def _datasets() -> tuple[list[str], list[list[str]]]:
    table_rows = [[name, entry.title, entry.layout] for name, entry in DATASETS.items()]
    return ["format", "title", "layout"], table_rows


def _protocols() -> tuple[list[str], list[list[str]]]:
    table_rows = [
        [
            name,
            f"v{entry.version}",
            entry.title,
            "/".join(map(str, entry.max_dets)) or "all",
            ", ".join(
                f"{size} {_side(low)}-{_side(high)}" for size, (low, high) in entry.bins.items()
            )
            or "-",
        ]
        for name, entry in PROTOCOLS.items()
    ]
    return ["protocol", "version", "title", "detections", "sizes (side in px)"], table_rows


def _suites() -> tuple[list[str], list[list[str]]]:
    table_rows = []
    for path in _suite_files():
        try:
            suite = load(path)
        except SuiteError as error:  # one broken file hides no other
            problem = " ".join(str(error).removeprefix(f"{path}: ").split())
            table_rows.append([str(path), "-", "-", shortened(problem, 200)])
            continue
        runs = len(suite.methods) * len(suite.seeds)
        labels = ", ".join(entry.label for entry in suite.methods)
        table_rows.append([str(path), str(runs), suite.title, labels])
    return ["suite", "runs", "title", "methods"], table_rows


def _suite_files() -> list[Path]:
    """Suites of the working folder, else those of the checkout that the code runs from."""
    for folder in (Path("suites"), Path(__file__).resolve().parents[2] / "suites"):
        files = [p for p in sorted(folder.glob("**/*.yaml")) if not p.match("*.tuned.yaml")]
        if files:
            return files
    return []


def _side(area: float) -> str:
    return "inf" if area >= INFINITE_AREA else f"{area**0.5:g}"
