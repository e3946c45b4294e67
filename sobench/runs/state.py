"""How far each run is, and why: the one answer for plan, run and report; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sobench.errors import RecordError
from sobench.metrics.detections import file_digest
from sobench.metrics.matches_file import is_of
from sobench.metrics.scores import Scores
from sobench.runs import record
from sobench.runs.folder import RunFolder
from sobench.runs.gathered import Results
from sobench.runs.record import Record, scoring_name
from sobench.runs.search import choose_data, folder_of, search
from sobench.suite.external import ExternalRun
from sobench.suite.further_tests import FurtherTest, further_tests
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

StateName = Literal[
    "done", "to score", "to test", "resumable", "missing", "failed", "diverged", "locked"
]

_SCORED_ELSEWHERE = "it was scored on another state of the data; score it again on this one"

States = Mapping[str, "RunState"]
"""The state of each run, by ``settings_id``."""


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        name: ``done``; ``to score``: its detections wait for the suite's present protocol or
            engine; ``to test``: it has no present scores of one of the suite's further tests;
            ``resumable``: half trained; ``missing``: not begun, or its files are gone;
            ``failed``: will be tried again; ``diverged``: would diverge again; ``locked``: another
            process trains it.
        reason: why, in words; empty where the name says it all.
        record: of the run, if there is one that counts.
        damage: why its record does not count; empty if it does, or if there is none.
        untested: further tests without present scores.
        scores: by the suite's present protocol and engine, whatever else is still to do.
        tested: the same of the suite's further tests.
        has_weights: the trained weights of a finished run are there, to build on or to test.
        is_unmatched: the run is scored, but how its detections met the objects is not kept, as of
            runs by earlier versions; they are there, so that the next ``sobench run`` can match
            them in seconds. Scores count without it.
    """

    name: StateName
    reason: str = ""
    record: Record | None = None
    damage: str = ""
    untested: tuple[FurtherTest, ...] = ()
    scores: Scores | None = None
    tested: Mapping[FurtherTest, Scores] = field(default_factory=dict)
    has_weights: bool = False
    is_unmatched: bool = False

    @property
    def result(self) -> Record | None:
        """The record, if it has scores by the suite's present protocol and engine."""
        return self.record if self.scores else None

    @property
    def needs_training(self) -> bool:
        """Whether only a training can bring the run further."""
        return self.name in ("resumable", "missing", "failed", "locked")


def read_states(
    runs: Sequence[Run], results: Results, data: str = "", check_matches: bool = False
) -> dict[str, RunState]:
    """The state of each run by ``settings_id``, from the files in its folder; reads them once.

    A record that is damaged, of another version or of another run does not count, and the state
    says so.

    Args:
        data: fingerprint of the data, for runs that were planned without it; if it is not given
            either, the state of the data with the most results counts.
        check_matches: also tell which runs wait to be matched; it takes longer than all the rest.

    Raises:
        RequestError: several states of the data have the same number of results.
    """
    if not data and not all(run.data for run in runs):
        data = choose_data(search(runs, results)).data
    states = {}
    for run in runs:
        try:
            state = _read_state(run, folder_of(run, results, data), check_matches)
            states[run.settings_id] = state
        except OSError as error:  # a folder that this user may not enter
            reason = f"{error.filename}: {error.strerror}"
            states[run.settings_id] = RunState("failed", reason, damage=reason)
    return states


def read_records(runs: Sequence[Run], results: Results) -> list[Record]:
    """The records of these runs that are there, in their order; as in ``read_states``."""
    states = read_states(runs, results).values()
    return [state.record for state in states if state.record is not None]


def state_of(run: Run, outcome: Record | None) -> RunState:
    """The state of a run whose record is known, as far as the record tells it."""
    suite = run.suite
    if outcome is None and isinstance(run, ExternalRun):
        return RunState("missing", _SCORED_ELSEWHERE)
    if outcome is None:
        return RunState("missing", untested=further_tests(suite))
    tested = {test: outcome.tested_by(suite, test) for test in further_tests(suite)}
    scores = outcome.scored_by(suite)
    state = RunState(
        "done",
        record=outcome,
        untested=tuple(test for test, scored in tested.items() if scored is None),
        scores=scores,
        tested={test: scored for test, scored in tested.items() if scored is not None},
    )
    if not outcome.scores:
        name: StateName = "diverged" if outcome.status == "diverged" else "failed"
        return replace(state, name=name, reason=outcome.reason)
    if scores is None:
        reason = f"scored by {', '.join(outcome.scores)}, not by {scoring_name(suite)}"
        return replace(state, name="to score", reason=reason)
    if state.untested:
        reason = f"not tested: {', '.join(test.title for test in state.untested)}"
        return replace(state, name="to test", reason=reason)
    return state


def has_detections(folder: RunFolder, outcome: Record, test: str = "") -> bool:
    """Whether the detections of a finished run, or of a further test, are as they were written."""
    path = folder.detections(test)
    digest = outcome.digests.get(path.name)
    return digest is not None and digest == file_digest(path)


def _read_state(run: Run, path: Path, check_matches: bool) -> RunState:
    """The state by the record, brought together with the other files of the folder."""
    folder, outcome, damage = RunFolder(path, run.suite.input.size), None, ""
    try:
        outcome = record.read(path)
    except RecordError as error:
        damage = str(error)
    state = state_of(run, outcome)
    if damage:
        anew = "score it again" if isinstance(run, ExternalRun) else "it is left out and made anew"
        state = replace(state, damage=damage, reason=f"{damage}; {anew}")
    if outcome is not None and outcome.scores:
        weights = folder.checkpoints_of(outcome.last_step)
        state = replace(state, has_weights=bool(weights))
        state = _with_lost_files(folder, outcome, state)
        if check_matches:
            state = replace(state, is_unmatched=_is_unmatched(run, folder, outcome, state))
    # A checkpoint counts even after a finished training: the rest is done from there.
    step = folder.last_step() if state.name == "missing" else None
    if step is not None:
        reason = "; ".join(filter(None, (state.reason, f"checkpoint after step {step}")))
        state = replace(state, name="resumable", reason=reason)
    if state.needs_training and run.defect:
        return replace(state, name="failed", reason=run.defect)
    if state.needs_training and folder.is_locked():
        state = replace(state, name="locked", reason="another process is training it")
    return state


def _is_unmatched(run: Run, folder: RunFolder, outcome: Record, state: RunState) -> bool:
    """Whether the detections of a scored run wait to be matched."""
    if state.scores is None:
        return False
    matches = folder.matches(PROTOCOLS[run.suite.protocol])
    digest = outcome.digests.get(folder.detections().name)
    return not is_of(matches, digest or "") and has_detections(folder, outcome)


def _with_lost_files(folder: RunFolder, outcome: Record, state: RunState) -> RunState:
    """Missing, if a run cannot be scored or tested because its files are gone or damaged.

    Scoring needs the detections, and a further test these or the weights.
    """
    if state.name == "to score" and not has_detections(folder, outcome):
        why = "damaged" if folder.detections().exists() else "gone"
        return replace(
            state, name="missing", reason=f"{state.reason}, and its detections are {why}"
        )
    if state.name in ("to score", "to test") and not state.has_weights:
        names = [test.name for test in state.untested]
        if not all(has_detections(folder, outcome, name) for name in names):
            reason = f"{state.reason}, and its weights are gone"
            return replace(state, name="missing", reason=reason)
    return state
