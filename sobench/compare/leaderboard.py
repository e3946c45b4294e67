"""Records -> ranked table, with the provenance of its numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import pandas as pd

from sobench.compare.costs import costs_of
from sobench.errors import NothingToCompare
from sobench.metrics.scores import Scores
from sobench.metrics.table import score_metrics
from sobench.runs.record import Record
from sobench.runs.search import DataChoice, choose_data, other_settings, search
from sobench.runs.state import States, read_states
from sobench.suite.further_tests import further_tests
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

NOT_RUN = "not run yet"


@dataclass(frozen=True)
class Result:
    """A record, and its scores by the suite's present protocol and engine."""

    record: Record
    scores: Scores


@dataclass(frozen=True)
class Leaderboard:
    """A ranked table and the lines beneath it.

    Attributes:
        title: of the suite.
        table: a row for each method, best first: ``rank``, ``method``, ``seeds``, each metric as
            the mean over seeds and ``<metric>_std`` (empty for one seed), then costs.
        metrics: names of the metric columns, the ranking one first.
        per_class: a row for each method, a column for each class: mean AP.
        sizes: a row for each method and further test: ``method``, ``input``, ``seeds``, and
            metrics as in ``table``; empty if the suite asks for none.
        deviations: label -> the differences from the suite.
        learning_rates: label -> where its learning rate is from, such as ``the suite's``.
        missing: rows without a result, with the reason.
        provenance: line by line.
        notes: cautions for reading the ranks.
    """

    title: str
    table: pd.DataFrame
    metrics: tuple[str, ...]
    per_class: pd.DataFrame
    sizes: pd.DataFrame
    deviations: dict[str, tuple[str, ...]]
    learning_rates: dict[str, str]
    missing: dict[str, str]
    provenance: dict[str, str]
    notes: tuple[str, ...]


def leaderboard(runs: Sequence[Run], results: Path, data: str = "") -> Leaderboard:
    """The leaderboard of a plan from the folder of all results.

    Args:
        data: how the fingerprint of the data begins, for runs that were planned without the data
            and have results on several states of it; without it, the one with the most results.

    Raises:
        NothingToCompare: not one run has a result.
        RequestError: no state of the data is as asked for, or several have the most results.
    """
    found = search(runs, results)
    choice = DataChoice(runs[0].data) if runs[0].data else choose_data(found, data)
    states = read_states(runs, results, choice.data)
    try:
        return build(runs, states, (choice.note,) if choice.note else ())
    except NothingToCompare as error:
        if not results.is_dir():
            raise NothingToCompare(f"{error}\n{results}: no such folder; see --results") from None
        others = filter(None, (choice.note, other_settings(runs, found)))
        raise NothingToCompare("\n".join((str(error), *others))) from None


def build(runs: Sequence[Run], states: States, notes: tuple[str, ...] = ()) -> Leaderboard:
    """Rank the methods of a plan by mean AP over their seeds.

    Args:
        states: of the runs; others are left out.
        notes: cautions of the caller, which go before the others.

    Raises:
        NothingToCompare: not one run has a result.
    """
    suite = runs[0].suite
    results: dict[str, list[Result]] = defaultdict(list)
    for run in runs:
        state = states[run.settings_id]
        # A label is not a part of a run's identity: it may have been changed since.
        if state.record is not None and state.scores is not None:
            results[run.entry.label].append(Result(state.record, state.scores))
    if not results:
        raise NothingToCompare(_why_empty(runs, states))
    metrics = tuple(metric.name for metric in score_metrics(PROTOCOLS[suite.protocol]))
    table_rows = [_row(label, of_row, metrics) for label, of_row in results.items()]
    table_rows.sort(key=lambda row: -_or_worst(row[metrics[0]]))
    for rank, row in enumerate(table_rows, 1):
        row["rank"] = rank
    labels = [str(row["method"]) for row in table_rows]
    return Leaderboard(
        title=suite.title or suite.name,
        table=pd.DataFrame(table_rows).set_index("rank").reset_index(),
        metrics=metrics,
        per_class=pd.DataFrame([_class_row(label, results[label]) for label in labels]),
        sizes=pd.DataFrame(_size_rows(runs, states, labels, metrics)),
        deviations={run.entry.label: told for run in runs if (told := _deviations(run, states))},
        learning_rates={run.entry.label: run.learning_rate for run in runs},
        missing=_missing(runs, states),
        provenance=_provenance(runs, [r for of_row in results.values() for r in of_row]),
        notes=notes + _notes(runs, states, results),
    )


def _deviations(run: Run, states: States) -> tuple[str, ...]:
    """All that sets a row apart, with what its record tells of the weights that it starts from."""
    outcome = states[run.settings_id].record
    start = (outcome.start,) if outcome is not None and outcome.start else ()
    return run.deviations + start


def _row(label: str, results: Sequence[Result], metrics: Sequence[str]) -> dict[str, object]:
    """Means of the metrics over the seeds, and costs."""
    row: dict[str, object] = {"method": label, "seeds": len(results)}
    row |= _averaged([result.scores for result in results], metrics)
    return row | costs_of([result.record for result in results])


def _averaged(scores: Sequence[Scores], metrics: Sequence[str]) -> dict[str, object]:
    row: dict[str, object] = {}
    for name in metrics:
        values = [scored.metrics.get(name) for scored in scores]
        defined = [value for value in values if value is not None]
        row[name] = mean(defined) if defined else None
        row[f"{name}_std"] = stdev(defined) if len(defined) > 1 else None
    return row


def _size_rows(
    runs: Sequence[Run], states: States, labels: Sequence[str], metrics: Sequence[str]
) -> list[dict[str, object]]:
    """Best method first, and of each its further tests in the suite's order."""
    size_rows: list[dict[str, object]] = []
    for label in labels:
        of_row = [run for run in runs if run.entry.label == label]
        states_of_row = [states[run.settings_id] for run in of_row]
        # Of this row, since it may deviate in what it is tested on.
        for test in further_tests(of_row[0].suite):
            scores = [
                state.tested[test]
                for state in states_of_row
                if state.scores and test in state.tested
            ]
            if scores:
                row = {"method": label, "input": test.title, "seeds": len(scores)}
                size_rows.append(row | _averaged(scores, metrics))
    return size_rows


def _class_row(label: str, results: Sequence[Result]) -> dict[str, object]:
    values: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for name, scores in result.scores.per_class.items():
            ap = scores.get("AP")
            values[name] += [] if ap is None else [ap]
    return {"method": label} | {name: mean(v) if v else None for name, v in values.items()}


def _missing(runs: Sequence[Run], states: States) -> dict[str, str]:
    """Why runs have no result, or not all of it, and how to get it."""
    missing = {}
    for run in runs:
        state, name = states[run.settings_id], f"{run.entry.label} seed {run.seed}"
        match state.name:
            case "done":
                continue
            case "missing" if not state.reason:
                missing[name] = NOT_RUN
            case "to score":
                missing[name] = f"{state.reason}; `sobench run` scores it again, without training"
            case "to test":
                missing[name] = f"{state.reason}; `sobench run` tests it with the stored weights"
            case _:
                missing[name] = f"{state.name}: {state.reason}"
    return missing


def _why_empty(runs: Sequence[Run], states: States) -> str:
    """Why there is no result: each state with its number of runs, and the first reason."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for run in runs:
        state = states[run.settings_id]
        name = NOT_RUN if state.name == "missing" and not state.reason else state.name
        example = f" ({run.entry.label} seed {run.seed}: {state.reason})" if state.reason else ""
        first.setdefault(name, example)
        counts[name] += 1
    reasons = "; ".join(f"{number} {name}{first[name]}" for name, number in counts.items())
    return f"{runs[0].suite.name}: no result to show: {reasons}; `sobench run` goes on"


def _provenance(runs: Sequence[Run], results: Sequence[Result]) -> dict[str, str]:
    suite, records = runs[0].suite, [result.record for result in results]
    protocol = PROTOCOLS[suite.protocol]
    environments = [r.environment for r in records if r.environment]
    libraries = [f"torch {e.packages.get('torch', '?')}" for e in environments]
    return {
        "protocol": f"{suite.protocol} v{protocol.version} ({protocol.title})",
        "engine": _several([result.scores.engine for result in results]),
        "data": _several([f"{suite.dataset.format} {r.data}" for r in records]),
        "images": _several(
            [f"{r.images['train']} train, {r.images['val']} val" for r in records if r.images]
        ),
        "seeds": ", ".join(map(str, sorted({r.seed for r in records}))),
        "code": _several([f"sobench {e.code}" for e in environments]),
        "libraries": _several(libraries),
        "device": _several([e.device for e in environments]),
    }


def _notes(
    runs: Sequence[Run], states: States, results: dict[str, list[Result]]
) -> tuple[str, ...]:
    notes = []
    partial = sorted({reason for run in runs for reason in run.partial})
    if partial:
        notes.append(f"PARTIAL RESULT ({'; '.join(partial)}): not comparable with the full suite")
    damaged = [
        f"{run.entry.label} seed {run.seed}" for run in runs if states[run.settings_id].damage
    ]
    if damaged:
        notes.append(f"left out, because their records do not count: {', '.join(damaged)}")
    trials = {run.entry.label: run.choice.trials if run.choice else 0 for run in runs}
    if len({*trials.values()}) > 1:
        numbers = ", ".join(f"{label} {number}" for label, number in trials.items())
        notes.append(f"rows were tuned with different numbers of trials: {numbers}")
    notes += _remarks_on_tests(runs, states)
    if min(map(len, results.values())) < 2:
        notes.append("one seed: ranks are not tested, close ones may be chance")
    records = [result.record for of_row in results.values() for result in of_row]
    environments = [r.environment for r in records if r.environment]
    if len({environment.device for environment in environments}) > 1:
        notes.append("several devices: latency and speed do not compare")
    if len({environment.code for environment in environments}) > 1:
        notes.append("several versions of the code: see provenance")
    return tuple(notes)


def _remarks_on_tests(runs: Sequence[Run], states: States) -> list[str]:
    """What the further tests of the table are, with the rows' names where rows differ in it."""
    labels: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for test in states[run.settings_id].tested:
            if test.remark:
                labels[test.key][test.remark].append(run.entry.label)
    return [
        f"{remark} ({_several(of_rows)})" if len(remarks) > 1 else remark
        for remarks in labels.values()
        for remark, of_rows in remarks.items()
    ]


def _several(values: Sequence[str]) -> str:
    return " / ".join(dict.fromkeys(values))


def _or_worst(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else -1.0
