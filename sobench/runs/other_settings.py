"""What runs a folder of results holds beside those of a plan, and what sets them apart."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results, folders_of
from sobench.runs.search import Found, leaves, runs_text, settings_of
from sobench.suite.limit import Representative, as_setting, option
from sobench.suite.plan import Run, with_required
from sobench.text import plain

_NAMES = 10
"""Suites or methods that are named; further ones are counted."""

_GROUPS = 5
"""Lines of runs with the same differences; further runs are counted."""

_KEYS = 4
"""Differences that a line names; the others are counted."""

_SHORTENED = (
    "schedule.epochs", "schedule.milestones", "schedule.warmup.steps", "precision",
)  # fmt: skip
"""What ``--smoke`` sets, apart from the images and seeds."""

_UNREADABLE = "settings that cannot be read: run.json and record.json are gone or damaged"

_Differences = dict[str, tuple[str, str]]
"""Dotted key -> its value there and the one that is asked for; empty where it is not set."""


@dataclass(frozen=True)
class _Other:
    """A run that is not of the plan.

    Attributes:
        name: of its row, as it was called when it was made.
        data: fingerprint; empty if it is not known.
        told: what sets it apart from the plan, in words; empty if nothing but the seed does.
        seed: as a number of the command line.
        finished: whether it left a record.
    """

    name: str
    data: str
    told: str
    seed: str
    finished: bool


def other_settings(runs: Sequence[Run], found: Found) -> list[str]:
    """The runs of a plan's methods that have other settings, line by line; empty if none have.

    A line is about all runs on the same data with the same differences from the plan: how many of
    each row there are, and every setting that differs. Of runs on a part of the images, it says
    which option shows them.
    """
    planned: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        planned[run.entry.name].append(run)
    # Those that a row builds on are no results of their own.
    known = {run.settings_id for run in with_required(runs)}
    others = [_other(path, planned[path.parent.name], known) for path in found.others]
    groups: defaultdict[tuple[str, str], list[_Other]] = defaultdict(list)
    for other in filter(None, others):
        groups[other.data, other.told].append(other)
    if not groups:
        return []
    largest = sorted(groups.values(), key=len, reverse=True)
    lines = [f"- {_line(group)}" for group in largest[:_GROUPS]]
    if rest := sum(map(len, largest[_GROUPS:])):
        lines.append(f"- {runs_text(rest)} with still others")
    return ["with other settings there are:", *lines]


def elsewhere(runs: Sequence[Run], results: Results) -> str:
    """Which suites or methods have runs in the folder of all results, if those of a plan have none.

    Empty if there is a folder of one of its methods.
    """
    suite = runs[0].suite.name
    folders = folders_of(results)
    suites = _names(folders)
    of_suite = _names([folder / suite for folder in folders])
    if suite not in suites:
        others = f", but of {_listed(suites)}" if suites else ""
        return f"{results}: no runs of {suite} there{others}; see --results"
    if {run.entry.name for run in runs} & {*of_suite} or not of_suite:
        return ""
    place = results / suite if isinstance(results, Path) else f"{suite} in {results}"
    return f"{place}: has runs of other methods: {_listed(of_suite)}"


def _names(folders: Sequence[Path]) -> list[str]:
    """Of the folders in these."""
    names: set[str] = set()
    for folder in folders:
        with suppress(OSError):  # what cannot be looked into has nothing to tell
            names |= {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    return sorted(names)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if names[_NAMES:] else ""
    return f"{', '.join(map(plain, names[:_NAMES]))}{more}"


def _line(group: Sequence[_Other]) -> str:
    """Numbers of runs by row, their data, and what sets them apart."""
    counts = Counter(plain(other.name) for other in group)
    rows = ", ".join(f"{name} {number}" for name, number in counts.items())
    unfinished = sum(not other.finished for other in group)
    state = f", {unfinished} unfinished" if unfinished else ""
    data = f" on data {group[0].data}" if group[0].data else ""
    seeds = ",".join(sorted({other.seed for other in group}, key=lambda seed: (len(seed), seed)))
    told = group[0].told or f"other seeds; --seeds {seeds} shows them"
    return f"{runs_text(len(group))} ({rows}{state}){data}: {told}"


def _other(path: Path, planned: Sequence[Run], known: set[str]) -> _Other | None:
    """What is known of a folder; ``None`` if its run is one that the plan requires."""
    content, data = _settings_and_data(path)
    finished = os.path.exists(RunFolder(path).record)  # noqa: PTH110
    if not content:
        return _Other(path.parent.name, "", _UNREADABLE, "", finished)
    if str(content.pop("settings_id", "")) in known:
        return None
    name = str(content.pop("label", path.parent.name))
    there = leaves(content)
    differences = [_differing(there, leaves(run.settings)) for run in planned]
    # A method may have several rows: the nearest is the one that was meant.
    of_nearest = min(differences, key=lambda d: (len({*d} - {"seed"}), "seed" in d))
    told = _told(of_nearest, content.get("limit"), planned)
    return _Other(name, data, told, there.get("seed", ""), finished)


def _settings_and_data(path: Path) -> tuple[dict[str, Any], str]:
    """Settings with label and id, and the data, from ``run.json`` or else from the record."""
    content = settings_of(path)
    if "method" in content:
        data = str(content.get("data", ""))
    elif (outcome := record.read_sound(path)) is not None:
        about = {"label": outcome.label, "settings_id": outcome.settings_id}
        content, data = outcome.settings | about, outcome.data
    else:
        return {}, ""
    return {key: v for key, v in content.items() if key not in ("run_id", "data", "steps")}, data


def _differing(there: Mapping[str, str], asked: Mapping[str, str]) -> _Differences:
    found = {
        key: (there.get(key, ""), asked.get(key, ""))
        for key in dict.fromkeys((*asked, *there))
        if there.get(key) != asked.get(key)
    }
    # Ids of required runs follow from settings of these that are often the same.
    kept = {key: value for key, value in found.items() if not key.startswith("requires.")}
    return kept if {*kept} - {"seed"} else found


def _told(differences: _Differences, limit: Any, planned: Sequence[Run]) -> str:
    """The differences but for the seed, images and shorter trainings by their options."""
    left = {key: v for key, v in differences.items() if key.partition(".")[0] != "limit"}
    left.pop("seed", None)
    texts, asked, way_out = [], planned[0].limit, ""
    if limit != as_setting(asked):
        if isinstance(limit, dict) or isinstance(asked, Representative):
            left = {key: value for key, value in left.items() if key not in _SHORTENED}
        of_runs = _option(limit)
        texts.append(f"partial, with {of_runs}" if of_runs else "all images")
        way_out = f"{of_runs} shows them" if of_runs else f"without {option(asked)} they are shown"
    if "version" in left:
        there, now = left.pop("version")
        texts.append(f"results of version {there} (now: {now})")
        way_out = ""
    texts += [_difference(key, *value) for key, value in [*left.items()][:_KEYS]]
    texts += [f"{len(left) - _KEYS} more settings"] if len(left) > _KEYS else []
    # Beside other differences an option alone would show nothing.
    return "; ".join([", ".join(texts), *([way_out] if way_out and not left else [])])


def _option(limit: Any) -> str:
    """The option that sets a limit as settings have it; empty for all images."""
    if isinstance(limit, dict):
        return f"--smoke {limit.get('smoke')}"
    return "" if limit is None else f"--limit {limit}"


def _difference(key: str, there: str, asked: str) -> str:
    if not there:
        return f"{key} not set (asked for: {plain(asked)})"
    return f"{key} {plain(there)} (asked for: {plain(asked) if asked else 'not set'})"
