"""The trials of ``sobench tune`` -> what is chosen for each row, and why not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sobench.metrics.table import score_metrics
from sobench.runs.state import States
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS
from sobench.suite.tuned import TrialResult, TunedRow, values_text


@dataclass(frozen=True)
class RowTuning:
    """The trials of a row.

    Attributes:
        metric: the one that ranks under the suite's protocol; higher is better.
        trials: in the order of the grid.
        chosen: the trial with the highest mean over the seeds, of equal ones the first; ``None`` if
            ``problem`` says why there is none.
        at_end: keys whose chosen value is the smallest or largest that was tried.
        undone: trials of which a training has failed, or has not come to its end.
    """

    label: str
    metric: str
    trials: tuple[TrialResult, ...]
    chosen: TrialResult | None = None
    at_end: tuple[str, ...] = ()
    problem: str = ""
    undone: tuple[TrialResult, ...] = ()


def tune_rows(runs: Sequence[Run], states: States) -> list[RowTuning]:
    """What the trials of each row came to.

    A trial of which a seed diverged was tried, and loses. Nothing is chosen for a row while a trial
    of it has failed for another reason, so that every row has had all trials.

    Args:
        runs: of ``plan_trials``.
    """
    metric = score_metrics(PROTOCOLS[runs[0].suite.protocol])[0].name
    return [_tune(label, metric, of_row, states) for label, of_row in _by_row(runs).items()]


def tuned_row(tuning: RowTuning, runs: Sequence[Run], states: States) -> TunedRow:
    """A row with a choice as the file of chosen values has it, with its provenance."""
    assert tuning.chosen is not None
    of_row = _by_row(runs)[tuning.label]
    records = [state.result for run in of_row if (state := states[run.settings_id]).result]
    images = next(record.images for record in records if record is not None)
    codes = [r.environment.code for r in records if r is not None and r.environment]
    return TunedRow(
        chosen=tuning.chosen.values,
        metric=tuning.metric,
        trials=tuning.trials,
        trained_on=images["train"],
        held_out=images["val"],
        holdout=of_row[0].holdout,
        seeds=tuple(dict.fromkeys(run.seed for run in of_row)),
        options=of_row[0].partial,
        data=of_row[0].data,
        code=" / ".join(dict.fromkeys(codes)) or "unknown",
    )


def _by_row(runs: Sequence[Run]) -> dict[str, list[Run]]:
    rows: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        rows[run.entry.label].append(run)
    return rows


def _tune(label: str, metric: str, runs: Sequence[Run], states: States) -> RowTuning:
    trials = _results(runs, metric, states)
    failed = [run for run in runs if states[run.settings_id].name not in ("done", "diverged")]
    if failed:
        state = states[failed[0].settings_id]
        reason = f"{failed[0].name} {state.name}: {state.reason}".removesuffix(": ")
        problem = f"{len(failed)} of {len(runs)} trainings are not done ({reason})"
        texts = {run.choice.text for run in failed if run.choice}
        undone = tuple(trial for trial in trials if values_text(trial.values) in texts)
        return RowTuning(label, metric, trials, problem=problem, undone=undone)
    scored = [(trial.score, trial) for trial in trials if trial.score is not None]
    if not scored:
        return RowTuning(label, metric, trials, problem="every trial diverged; try smaller values")
    best, chosen = max(scored, key=lambda pair: pair[0])
    if best <= 0:
        return RowTuning(label, metric, trials, problem="no trial found an object; train longer")
    at_end = tuple(key for key in chosen.values if _is_at_end(key, chosen, trials))
    return RowTuning(label, metric, trials, chosen, at_end)


def _results(runs: Sequence[Run], metric: str, states: States) -> tuple[TrialResult, ...]:
    """The runs of a row, trial by trial with its seeds together."""
    scores: defaultdict[str, list[float | None]] = defaultdict(list)
    values: dict[str, dict[str, Any]] = {}
    for run in runs:
        assert run.choice is not None
        scored = states[run.settings_id].scores
        scores[run.choice.text].append(scored.metrics.get(metric) if scored else None)
        values[run.choice.text] = dict(run.choice.values)
    return tuple(
        TrialResult(values=values[text], scores=tuple(of_trial))
        for text, of_trial in scores.items()
    )


def _is_at_end(key: str, chosen: TrialResult, trials: Sequence[TrialResult]) -> bool:
    """Whether a better value of a number may lie beyond those that were tried."""
    tried = {trial.values[key] for trial in trials if isinstance(trial.values[key], int | float)}
    return len(tried) > 1 and chosen.values[key] in (min(tried), max(tried))
