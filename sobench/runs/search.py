"""What a folder of results holds of a plan, and on which states of the data; needs no torch."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sobench.errors import RequestError
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results, place_of, run_folders
from sobench.suite.plan import Run, run_id

_SHOWN = 4
"""Runs that a message names; the others are counted."""


@dataclass(frozen=True)
class Found:
    """Folders of runs below the folder of all results.

    Attributes:
        by_data: fingerprint of the data -> ``settings_id`` -> folder, of the runs of a plan.
        others: folders of the same methods, of runs with other settings or of an unknown run.
    """

    by_data: dict[str, dict[str, Path]]
    others: tuple[Path, ...]


@dataclass(frozen=True)
class DataChoice:
    """A state of the data, by its fingerprint, and a note if there are others."""

    data: str
    note: str = ""


def folder_of(run: Run, results: Results, data: str) -> Path:
    """The folder of a run, on this state of the data if it was planned without any."""
    name = run.id if run.data else run_id(run.seed, run.settings_id, data)
    return place_of(results, run.folder(Path()).with_name(name))


def search(runs: Sequence[Run], results: Results) -> Found:
    """All folders of these runs, on every state of the data, without the data."""
    settings_ids = {run.settings_id for run in runs}
    by_data: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    others = []
    for suite, method in sorted({(run.suite.name, run.entry.name) for run in runs}):
        for path in run_folders(results, suite, method):
            data, settings_id = _identity(path)
            if settings_id in settings_ids:
                by_data[data][settings_id] = path
            else:
                others.append(path)
    return Found(dict(by_data), tuple(others))


def choose_data(found: Found, prefix: str = "") -> DataChoice:
    """The state of the data with the most results, or the one whose fingerprint begins so.

    No time decides: a clock may have been wrong.

    Raises:
        RequestError: several states have the most results, or not one begins with ``prefix``.
    """
    states = sorted(found.by_data)
    if len(states) < 2 and not prefix:
        return DataChoice("".join(states))
    counts = {data: len(list(filter(_has_scores, found.by_data[data].values()))) for data in states}
    candidates = [data for data in states if data.startswith(prefix)]
    most = max((counts[data] for data in candidates), default=0)
    chosen = [data for data in candidates if counts[data] == most]
    listed = ", ".join(f"{data} ({runs_text(counts[data])})" for data in states) or "none"
    if not candidates:
        raise RequestError(
            f"--data {prefix}: no run is on such a state of the data; known: {listed}"
        )
    # Without any result there is nothing to take for another: the first will do.
    if len(chosen) > 1 and most:
        raise RequestError(
            f"results on {len(states)} states of the data: {listed}; "
            f"choose with --data, such as --data {chosen[0]}"
        )
    if len(states) == 1:
        return DataChoice(chosen[0])
    shown = listed.replace(
        f"{chosen[0]} ({runs_text(most)}", f"{chosen[0]} ({runs_text(most)}, shown"
    )
    note = f"results on {len(states)} states of the data: {shown}; choose with --data"
    return DataChoice(chosen[0], note)


def changed_data(runs: Sequence[Run], results: Results) -> list[str]:
    """Which runs are to be trained anew because the data are not what they were."""
    new = [run for run in runs if not _has_record(folder_of(run, results, run.data))]
    lines = []
    for data, folders in sorted(search(new, results).by_data.items()) if new else ():
        names = [
            f"{run.entry.label} seed {run.seed}"
            for run in new
            if run.settings_id in folders and _has_record(folders[run.settings_id])
        ]
        if names:
            more = f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else ""
            lines.append(
                f"the annotations or images changed since: {runs_text(len(names))} of another "
                f"state of the data, {data}, kept; trained anew on {new[0].data}: "
                f"{', '.join(names[:_SHOWN])}{more}"
            )
    return lines


def _identity(path: Path) -> tuple[str, str]:
    """Fingerprint of the data and ``settings_id`` of a run; empty if its files do not tell."""
    content = settings_of(path)
    try:
        data, settings_id = str(content["data"]), str(content["settings_id"])
        if run_id(content["seed"], settings_id, data) == path.name:
            return data, settings_id
    except KeyError:
        pass
    # Results that were copied without their settings; a record holds them too, but is larger.
    outcome = record.read_sound(path)
    return (outcome.data, outcome.settings_id) if outcome else ("", "")


def settings_of(path: Path) -> dict[str, Any]:
    """The content of ``run.json``; empty if it is gone or damaged."""
    try:
        content = json.loads(RunFolder(path).settings.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _has_record(path: Path) -> bool:
    # A folder that may not be entered has none either, which Path.exists would raise for.
    return os.path.exists(RunFolder(path).record)  # noqa: PTH110


def _has_scores(path: Path) -> bool:
    outcome = record.read_sound(path)
    return outcome is not None and bool(outcome.scores)


def leaves(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted key -> value as text."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value)
    return found


def runs_text(number: int) -> str:
    """Such as ``3 runs``."""
    return "1 run" if number == 1 else f"{number} runs"
