"""Several suites on one command line: which data each has, and what its files are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sobench.errors import RequestError
from sobench.runs.gathered import Results
from sobench.runs.search import search
from sobench.suite.overrides import Request
from sobench.suite.plan import Run
from sobench.text import quoted

_NARROWING = ("methods", "seeds", "eval_sizes", "multi_scale", "keep_background")
"""Keys of a suite that decide what a table shows, and no result."""


def states_of_data(plans: Sequence[Sequence[Run]], results: Results, data: str) -> list[str]:
    """Which beginning of a fingerprint is for which suite; empty for a suite without any.

    Raises:
        RequestError: one is of no suite.
    """
    prefixes = [prefix.strip() for prefix in data.split(",") if prefix.strip()]
    if len(plans) == 1 or not prefixes:
        return [data] * len(plans)
    known = [sorted(search(runs, results).by_data) for runs in plans]
    chosen = [
        next((p for p in prefixes if any(state.startswith(p) for state in states)), "")
        for states in known
    ]
    for prefix in prefixes:
        if prefix not in chosen:
            listed = ", ".join(state for states in known for state in states) or "none"
            raise RequestError(
                f"--data {prefix}: no run is on such a state of the data; known: {listed}"
            )
    return chosen


def check_distinct(files: Sequence[Path], requests: Sequence[Request]) -> None:
    """Refuse a suite that is given twice, and two of one name, whose results are in one folder."""
    first: dict[str, tuple[Path, Request]] = {}
    for file, request in zip(files, requests, strict=True):
        name = request.suite.name
        if name not in first:
            first[name] = (file, request)
            continue
        other, other_request = first[name]
        if request.suite == other_request.suite:
            raise RequestError(f"{file}: the same suite as {other}; give every suite once")
        raise RequestError(
            f"{other} and {file}: both suites are named {quoted(name)} and differ; give each "
            "a name of its own"
        )


def stem_of(name: str, request: Request, settings: Sequence[str], data: str) -> str:
    """The name of the files: that of the suite, with what sets this table apart from its own.

    So a table of other numbers, or of fewer, does not take the place of the suite's.
    """
    changed = {text.partition("=")[0].partition(".")[0].strip() for text in settings}
    scoring = [str(getattr(request.suite, key)) for key in ("protocol", "engine") if key in changed]
    narrowed = request.partial or request.methods or request.seeds or changed & {*_NARROWING}
    parts = (name, *scoring, data, "partial" if narrowed else "")
    return ".".join(filter(None, parts))
