"""How far each run is, and why: the one answer for plan, run and report; needs no torch."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sobench.metrics.scores import Scores
from sobench.runs import record
from sobench.runs.folder import RunFolder, size_name
from sobench.runs.record import Record
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

StateName = Literal[
    "done", "to score", "to test", "resumable", "missing", "failed", "diverged", "locked"
]

States = Mapping[str, "RunState"]
"""The state of each run, by ``settings_id``."""


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        name: ``done``; ``to score``: its detections wait for the suite's present protocol or
            engine; ``to test``: it has no present scores at one of the suite's further input
            sizes; ``resumable``: half trained; ``missing``: not begun, or its files are gone;
            ``failed``: will be tried again; ``diverged``: would diverge again; ``locked``: another
            process trains it.
        reason: why, in words; empty where the name says it all.
        record: of the run, if there is one.
        untested: further input sizes (height, width) without present scores.
        is_scored: the record has scores by the suite's present protocol and engine, whatever else
            is still to do.
        has_weights: the trained weights of a finished run are there, to build on or to test.
    """

    name: StateName
    reason: str = ""
    record: Record | None = None
    untested: tuple[tuple[int, int], ...] = ()
    is_scored: bool = False
    has_weights: bool = False

    @property
    def result(self) -> Record | None:
        """The record, if it has scores by the suite's present protocol and engine."""
        return self.record if self.is_scored else None

    @property
    def needs_training(self) -> bool:
        """Whether only a training can bring the run further."""
        return self.name in ("resumable", "missing", "failed", "locked")


def read_states(runs: Sequence[Run], results: Path) -> dict[str, RunState]:
    """The state of each run by ``settings_id``, from the files in its folder; reads them once.

    If the data are not at hand, so that the runs have no fingerprint of them, records are matched
    by their settings. If they were made on several states of the dataset, the state with the most
    records counts, then the newest.

    Raises:
        DataError: a record is damaged or of another version.
    """
    paths = {run.settings_id: run.folder(results) for run in runs}
    if all(run.data for run in runs):
        records = {id_: record.read(path) for id_, path in paths.items()}
    else:
        paths, records = _search(runs, results)
    states = {}
    for run in runs:
        id_ = run.settings_id
        if id_ in paths:
            folder = RunFolder(paths[id_], run.suite.input.size)
            states[id_] = _state(run, folder, records[id_])
        else:
            states[id_] = state_of(run, None)
    return states


def read_records(runs: Sequence[Run], results: Path) -> list[Record]:
    """The records of these runs that are there, in their order; as in ``read_states``."""
    states = read_states(runs, results).values()
    return [state.record for state in states if state.record is not None]


def state_of(run: Run, outcome: Record | None) -> RunState:
    """The state of a run whose record is known, as far as the record tells it."""
    if outcome is None:
        return RunState("missing", untested=run.suite.eval_sizes)
    untested = tuple(
        size
        for size in run.suite.eval_sizes
        if outdated(run, outcome.sizes.get(size_name(size)), "tested")
    )
    if outcome.scored is None:
        name: StateName = "diverged" if outcome.status == "diverged" else "failed"
        return RunState(name, outcome.reason, outcome, untested)
    if reason := outdated(run, outcome.scored, "scored"):
        return RunState("to score", reason, outcome, untested)
    if untested:
        reason = f"not tested at {', '.join(map(size_name, untested))}"
        return RunState("to test", reason, outcome, untested, is_scored=True)
    return RunState("done", "", outcome, is_scored=True)


def _state(run: Run, folder: RunFolder, outcome: Record | None) -> RunState:
    """The state by the record, brought together with the other files of the folder."""
    state = state_of(run, outcome)
    if outcome is not None and outcome.scored is not None:
        weights = folder.checkpoints_of(outcome.last_step)
        state = replace(state, has_weights=bool(weights))
    # Scoring needs the detections, and testing at another size these or the weights.
    if state.name in ("to score", "to test") and not _can_score(run, folder, state):
        files = "weights" if folder.detections().exists() else "detections"
        state = replace(state, name="missing", reason=f"{state.reason}, and its {files} are gone")
    # A checkpoint counts even after a finished training: the rest is done from there.
    step = folder.last_step() if state.name == "missing" else None
    if step is not None:
        reason = "; ".join(filter(None, (state.reason, f"checkpoint after step {step}")))
        state = replace(state, name="resumable", reason=reason)
    if state.needs_training and folder.is_locked():
        state = replace(state, name="locked", reason="another process is training it")
    return state


def _can_score(run: Run, folder: RunFolder, state: RunState) -> bool:
    """Whether the files of a finished run are enough to score it without training."""
    if not folder.detections().exists():
        return False
    sizes = all(folder.detections(size).exists() for size in run.suite.eval_sizes)
    return sizes or state.has_weights


def outdated(run: Run, scored: Scores | None, done: str) -> str:
    """Why scores are not by the suite's present protocol and engine; empty if they are."""
    suite = run.suite
    if scored is None:
        return f"not {done}"
    version = PROTOCOLS[suite.protocol].version
    if (scored.protocol, scored.protocol_version) != (suite.protocol, version):
        return (
            f"{done} by {scored.protocol} v{scored.protocol_version}, "
            f"not by {suite.protocol} v{version}"
        )
    if not scored.engine.startswith(f"{suite.engine} "):
        return f"{done} with {scored.engine}, not with {suite.engine}"
    return ""


def _search(runs: Sequence[Run], results: Path) -> tuple[dict[str, Path], dict[str, Record | None]]:
    """Folders and records by ``settings_id``, of one state of the dataset, without the dataset."""
    settings_ids = {run.settings_id for run in runs}
    by_data: defaultdict[str, dict[str, tuple[Path, Record | None]]] = defaultdict(dict)
    for method_folder in sorted({run.folder(results).parent for run in runs}):
        for path in sorted(method_folder.glob("s*")):
            outcome = record.read(path)
            data, settings_id = (
                (outcome.data, outcome.settings_id) if outcome else _identity(RunFolder(path))
            )
            if settings_id in settings_ids:
                by_data[data][settings_id] = path, outcome
    if not by_data:
        return {}, {}

    def weight(folders: Mapping[str, tuple[Path, Record | None]]) -> tuple[int, str]:
        finished = [outcome.finished for _, outcome in folders.values() if outcome is not None]
        return len(finished), max(finished, default="")

    folders = max(by_data.values(), key=weight)
    paths = {settings_id: path for settings_id, (path, _) in folders.items()}
    return paths, {settings_id: outcome for settings_id, (_, outcome) in folders.items()}


def _identity(folder: RunFolder) -> tuple[str, str]:
    """Fingerprint of the data and ``settings_id`` of a run that has no record yet."""
    try:
        content = json.loads(folder.settings.read_bytes())
        return str(content["data"]), str(content["settings_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""
