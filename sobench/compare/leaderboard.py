"""Records -> table with tiers, and the provenance of its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import pandas as pd

from sobench.compare import remarks
from sobench.compare.costs import costs_of
from sobench.compare.fairness import fairness
from sobench.compare.verdict import Verdict, judge, verdict
from sobench.errors import NothingToCompare
from sobench.metrics.scores import Scores
from sobench.metrics.table import class_metrics, score_metrics
from sobench.runs.record import Record
from sobench.runs.search import DataChoice, choose_data, other_settings, search
from sobench.runs.state import States, read_states
from sobench.suite.further_tests import further_tests
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS


@dataclass(frozen=True)
class Result:
    """A record, and its scores by the suite's present protocol and engine."""

    record: Record
    scores: Scores


@dataclass(frozen=True)
class Leaderboard:
    """A table with tiers and the lines beneath it.

    Attributes:
        title: of the suite.
        table: a row for each method, best first: ``tier`` (its numbers with spaces between, empty
            if it is not tested), ``method``, ``seeds``, each metric as the mean over seeds and
            ``<metric>_std`` (empty for one seed), then costs.
        metrics: names of the metric columns, the ranking one first.
        verdict: intervals, differences of all pairs, and tiers.
        fairness: what is uniform in the table and what is not, line by line.
        class_metric: what ``per_class`` holds, such as ``AP``.
        per_class: a row for each method, a column for each class: the mean over seeds.
        sizes: a row for each method and further test: ``method``, ``input``, ``seeds``, and
            metrics as in ``table``; empty if the suite asks for none.
        deviations: label -> the differences from the suite.
        learning_rates: label -> where its learning rate is from, such as ``the suite's``.
        missing: rows without a result, with the reason.
        provenance: line by line.
        notes: cautions for reading the table.
    """

    title: str
    table: pd.DataFrame
    metrics: tuple[str, ...]
    verdict: Verdict
    fairness: tuple[str, ...]
    class_metric: str
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
        return build(runs, states, results, (choice.note,) if choice.note else ())
    except NothingToCompare as error:
        if not results.is_dir():
            raise NothingToCompare(f"{error}\n{results}: no such folder; see --results") from None
        others = filter(None, (choice.note, other_settings(runs, found)))
        raise NothingToCompare("\n".join((str(error), *others))) from None


def build(
    runs: Sequence[Run],
    states: States,
    folder: Path | None = None,
    notes: tuple[str, ...] = (),
) -> Leaderboard:
    """Sort the methods of a plan by their mean over seeds, and tell which ones differ.

    Args:
        states: of the runs; others are left out.
        folder: of all results, with what runs keep beside their records; without it, no row is
            tested.
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
        raise NothingToCompare(remarks.why_empty(runs, states))
    protocol = PROTOCOLS[suite.protocol]
    metrics = tuple(metric.name for metric in score_metrics(protocol))
    of_class = class_metrics(protocol)[0]
    table_rows = [_row(label, of_row, metrics) for label, of_row in results.items()]
    table_rows.sort(key=lambda row: (-_or_worst(row[metrics[0]]), row["method"]))
    found = verdict(runs, states, folder) if folder else judge({})
    for row in table_rows:
        tiers = found.tiers.get(str(row["method"]), ())
        row["tier"] = " ".join(map(str, tiers)) or None
    labels = [str(row["method"]) for row in table_rows]
    return Leaderboard(
        title=suite.title or suite.name,
        table=pd.DataFrame(table_rows).set_index("tier").reset_index(),
        metrics=metrics,
        verdict=found,
        fairness=fairness(runs, states),
        class_metric=of_class,
        per_class=pd.DataFrame([_class_row(label, results[label], of_class) for label in labels]),
        sizes=pd.DataFrame(_size_rows(runs, states, labels, metrics)),
        deviations={run.entry.label: told for run in runs if (told := _deviations(run, states))},
        learning_rates={run.entry.label: run.learning_rate for run in runs},
        missing=remarks.missing(runs, states),
        provenance=remarks.provenance(runs, states),
        notes=notes + found.notes + remarks.cautions(runs, states),
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


def _class_row(label: str, results: Sequence[Result], metric: str) -> dict[str, object]:
    values: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for name, scores in result.scores.per_class.items():
            value = scores.get(metric)
            values[name] += [] if value is None else [value]
    return {"method": label} | {name: mean(v) if v else None for name, v in values.items()}


def _or_worst(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else -1.0
