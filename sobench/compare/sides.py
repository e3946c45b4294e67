"""One side of a comparison: the results of a plan, also those that another version has made."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sobench.compare.remarks import NOT_RUN
from sobench.errors import RequestError
from sobench.metrics.matches import Matches
from sobench.metrics.scores import Scores
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.matches import matches_of
from sobench.runs.record import Record
from sobench.runs.search import choose_data, folder_of, leaves, search
from sobench.runs.state import read_states
from sobench.suite.plan import Run

_OF_VERSIONS = ("version", "method_version", "source")
"""Settings that say which version of the code, of a method or of a package made a result."""

_DECISIVE = ("init_from", "holdout", "limit")
"""Settings that are left out where they are not used, and make another run where they are."""


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        run: as today's code plans it.
        folder: where its files are.
        record: what it left behind, perhaps by another version of the code.
        scores: by the suite's present protocol and engine.
        matches: how its detections met the objects; ``None`` if that is not kept.
    """

    run: Run
    folder: RunFolder
    record: Record
    scores: Scores
    matches: Matches | None


@dataclass(frozen=True)
class Side:
    """What there is to compare on one side.

    Attributes:
        name: as people call it.
        runs: of the plan.
        rows: label -> seed -> outcome.
        missing: labels without any result, with the reason.
        notes: cautions.
    """

    name: str
    runs: tuple[Run, ...]
    rows: dict[str, dict[int, Outcome]]
    missing: dict[str, str]
    notes: tuple[str, ...] = ()


def read_side(title: str, runs: Sequence[Run], results: Path, any_version: bool) -> Side:
    """The results of a plan in a folder.

    Args:
        title: as people call this side.
        any_version: take also runs of the same settings that another version of the code, or of a
            method's package, has made.

    Raises:
        RequestError: several states of the data have equally many results.
    """
    found = search(runs, results)
    choice = choose_data(found)
    states = read_states(runs, results, choice.data)
    outcomes: dict[str, Outcome] = {}
    for run in runs:
        state = states[run.settings_id]
        if state.record is not None and state.scores is not None:
            path = folder_of(run, results, choice.data)
            outcomes[run.settings_id] = _outcome(run, path, state.record, state.scores)
    if any_version:
        outcomes |= _of_other_versions(
            [run for run in runs if run.settings_id not in outcomes], found.others, choice.data
        )
    rows: defaultdict[str, dict[int, Outcome]] = defaultdict(dict)
    missing = {}
    for run in runs:
        if run.settings_id in outcomes:
            rows[run.entry.label][run.seed] = outcomes[run.settings_id]
        else:
            state = states[run.settings_id]
            is_new = state.name == "missing" and not state.reason
            name = NOT_RUN if is_new else state.name
            missing[run.entry.label] = ": ".join(filter(None, (name, state.reason)))
    missing = {label: reason for label, reason in missing.items() if label not in rows}
    notes = [choice.note] if choice.note else []
    partial = sorted({reason for run in runs for reason in run.partial})
    notes += [f"PARTIAL RESULT ({'; '.join(partial)})"] if partial else []
    return Side(title, tuple(runs), dict(rows), missing, tuple(notes))


def same_but_version(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether settings of two runs are the same but for the version of the code or a package.

    A key that only one of them has is one that the other version did not know.
    """
    if any(there.get(key) != here.get(key) for key in _DECISIVE):
        return False
    if set(there.get("requires", {})) != set(here.get("requires", {})):
        return False
    old, new = _comparable(there), _comparable(here)
    is_other_version = any(there.get(key) != here.get(key) for key in _OF_VERSIONS)
    return is_other_version and all(old[key] == new[key] for key in old.keys() & new.keys())


def _comparable(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings without versions, and without the hashes of required runs, which follow them."""
    left_out = (*_OF_VERSIONS, "requires")
    return leaves({key: value for key, value in settings.items() if key not in left_out})


def _of_other_versions(
    runs: Sequence[Run], folders: Sequence[Path], data: str
) -> dict[str, Outcome]:
    """The newest outcome of each run that another version has made, on one state of the data."""
    records = [(path, record.read_sound(path)) for path in folders]
    candidates: defaultdict[str, list[tuple[Path, Record, Scores, Run]]] = defaultdict(list)
    for path, outcome in records:
        for run in runs if outcome is not None else ():
            assert outcome is not None
            scores = outcome.scored_by(run.suite)
            if scores and same_but_version(outcome.settings, run.settings):
                candidates[outcome.data].append((path, outcome, scores, run))
    chosen = data or _most_results(candidates)
    # Of several versions the newest counts.
    of_data = sorted(
        candidates[chosen], key=lambda c: (c[1].settings.get("version", 0), c[1].finished)
    )
    return {run.settings_id: _outcome(run, path, outcome, s) for path, outcome, s, run in of_data}


def _most_results(candidates: Mapping[str, Sequence[Any]]) -> str:
    counts = Counter({data: len(found) for data, found in candidates.items()})
    ranked = counts.most_common(2)
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        raise RequestError(
            f"results on several states of the data: {', '.join(sorted(candidates))}; keep those "
            "of one state in the folder"
        )
    return ranked[0][0] if ranked else ""


def _outcome(run: Run, path: Path, outcome: Record, scores: Scores) -> Outcome:
    folder = RunFolder(path, run.suite.input.size)
    return Outcome(run, folder, outcome, scores, matches_of(run, folder, outcome))
