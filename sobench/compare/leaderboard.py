"""Records -> table with tiers, and the provenance of its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from sobench.compare import remarks
from sobench.compare.costs import costs_of
from sobench.compare.deviations import with_one_reason
from sobench.compare.fairness import fairness
from sobench.compare.kept_verdict import kept_or_new
from sobench.compare.verdict import Verdict, judge
from sobench.errors import NothingToCompare
from sobench.metrics.scores import Scores
from sobench.metrics.table import COST_METRICS, Metric, class_metrics, score_metrics
from sobench.runs.gathered import Results, clashes_of, exist
from sobench.runs.other_settings import elsewhere, other_settings
from sobench.runs.record import Record
from sobench.runs.search import DataChoice, choose_data, search
from sobench.runs.state import States, read_states
from sobench.suite.external import external_labels, shown_label, trained
from sobench.suite.further_tests import further_tests
from sobench.suite.plan import Run
from sobench.suite.protocols import PROTOCOLS

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
"""A row of a table: name of a column -> value, ``None`` where it is undefined."""


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
        scores: the metrics of the suite's protocol, the ranking one first.
        rows: for each method, best first: ``tier`` (its numbers with spaces between, ``None`` if
            it is not tested), ``method``, ``seeds``, each metric as the mean over seeds and
            ``<metric>_std`` (``None`` for one seed), then costs.
        run_rows: for each run of the plan, methods as in ``rows`` and those without a result last:
            ``method``, ``seed``, ``state`` and ``reason`` (empty for a run that is done), ``run``
            (its id; ``None`` without a record), metrics and costs.
        class_metric: what ``class_rows`` hold, such as ``AP``.
        class_rows: for each method, best first: ``method``, and for each class the mean over seeds.
        size_rows: for each method and further test: ``method``, ``input``, ``seeds``, and metrics
            as in ``rows``; empty if the suite asks for none.
        verdict: intervals, differences of all pairs, and tiers.
        fairness: what is uniform in the table and what is not, line by line.
        deviations: label -> the differences from the suite.
        learning_rates: label -> where its learning rate is from, such as ``the suite's``.
        missing: runs without a result, such as ``fpn seed 0``, with the reason.
        partial: the options that make this another result than the suite's; empty if none does.
        narrowed: which part of the suite's rows and seeds was asked for; empty if it is all.
        provenance: line by line.
        notes: cautions for reading the table.
        external: labels of the rows whose detections were made elsewhere.
    """

    title: str
    scores: tuple[Metric, ...]
    rows: tuple[Row, ...]
    run_rows: tuple[Row, ...]
    class_metric: str
    class_rows: tuple[Row, ...]
    size_rows: tuple[Row, ...]
    verdict: Verdict
    fairness: tuple[str, ...]
    deviations: dict[str, tuple[str, ...]]
    learning_rates: dict[str, str]
    missing: dict[str, str]
    partial: tuple[str, ...]
    narrowed: tuple[str, ...]
    provenance: dict[str, str]
    notes: tuple[str, ...]
    external: tuple[str, ...] = ()

    def shown_label(self, label: str) -> str:
        """The label of a row as tables show it."""
        return shown_label(label, self.external)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metric columns, the ranking one first."""
        return tuple(metric.name for metric in self.scores)

    @property
    def costs(self) -> tuple[Metric, ...]:
        """The costs that at least one row has."""
        return tuple(
            cost
            for cost in COST_METRICS
            if any(row.get(cost.name) is not None for row in self.rows)
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """``rows`` as a pandas table."""
        return _frame(self.rows)

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """``class_rows`` as a pandas table."""
        return _frame(self.class_rows)

    @cached_property
    def sizes(self) -> pd.DataFrame:
        """``size_rows`` as a pandas table."""
        return _frame(self.size_rows)


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    import pandas as pd  # here, for it takes longer to import than a table to print

    return pd.DataFrame(list(rows))


def leaderboard(runs: Sequence[Run], results: Results, data: str = "") -> Leaderboard:
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
        notes = (*clashes_of(results), *filter(None, [choice.note]))
        return build(runs, states, results, notes)
    except NothingToCompare as error:
        if not exist(results):
            raise NothingToCompare(f"{error}\n{results}: no such folder; see --results") from None
        others = (choice.note, elsewhere(runs, results))
        lines = (str(error), *filter(None, others), *other_settings(runs, found))
        raise NothingToCompare("\n".join(lines)) from None


def build(
    runs: Sequence[Run],
    states: States,
    folder: Results | None = None,
    notes: tuple[str, ...] = (),
) -> Leaderboard:
    """Sort the methods of a plan by mean AP over their seeds, and tell which ones differ.

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
    scores, class_metric = score_metrics(protocol), class_metrics(protocol)[0]
    metrics = tuple(metric.name for metric in scores)
    found = kept_or_new(runs, states, folder) if folder else judge({})
    rows = [_row(label, of_row, metrics, found) for label, of_row in results.items()]
    rows.sort(key=lambda row: (-_or_worst(row[metrics[0]]), row["method"]))
    labels = [str(row["method"]) for row in rows]
    return Leaderboard(
        title=suite.title or suite.name,
        scores=scores,
        rows=tuple(rows),
        run_rows=tuple(_run_rows(runs, states, labels, metrics)),
        class_metric=class_metric,
        class_rows=tuple(_class_row(label, results[label], class_metric) for label in labels),
        size_rows=tuple(_size_rows(runs, states, labels, metrics)),
        verdict=found,
        fairness=fairness(runs, states),
        deviations={run.entry.label: told for run in runs if (told := _deviations(run, states))},
        learning_rates={run.entry.label: run.learning_rate for run in trained(runs)},
        missing=remarks.missing(runs, states),
        partial=remarks.partial(runs),
        narrowed=remarks.narrowed(runs),
        provenance=remarks.provenance(runs, states),
        notes=notes + found.notes + remarks.cautions(runs, states),
        external=external_labels(runs),
    )


def _deviations(run: Run, states: States) -> tuple[str, ...]:
    """All that sets a row apart, with what its record tells of the weights that it starts from."""
    outcome = states[run.settings_id].record
    start = (outcome.start,) if outcome is not None and outcome.start else ()
    return (*with_one_reason(run.deviations, run.entry.reason), *start)


def _row(label: str, results: Sequence[Result], metrics: Sequence[str], found: Verdict) -> Row:
    """Tier, means of the metrics over the seeds, and costs."""
    tier = " ".join(map(str, found.tiers.get(label, ()))) or None
    row: Row = {"tier": tier, "method": label, "seeds": len(results)}
    row |= _averaged([result.scores for result in results], metrics)
    return row | costs_of([result.record for result in results])


def _averaged(scores: Sequence[Scores], metrics: Sequence[str]) -> Row:
    row: Row = {}
    for name in metrics:
        values = [defined_or_none(scored.metrics.get(name)) for scored in scores]
        defined = [value for value in values if value is not None]
        row[name] = mean(defined) if defined else None
        row[f"{name}_std"] = stdev(defined) if len(defined) > 1 else None
    return row


def defined_or_none(value: float | None) -> float | None:
    """The value, ``None`` for NaN."""
    return None if value is None or isnan(value) else value


def _run_rows(
    runs: Sequence[Run], states: States, labels: Sequence[str], metrics: Sequence[str]
) -> list[Row]:
    """One row for each run, in the order of the labels and of the seeds in the suite."""
    places = {label: place for place, label in enumerate(labels)}
    rows = []
    for run in sorted(runs, key=lambda run: places.get(run.entry.label, len(places))):
        state = states[run.settings_id]
        row: Row = {
            "method": run.entry.label,
            "seed": run.seed,
            "state": state.name,
            "reason": state.reason,
            "run": state.record.run_id if state.record else None,
        }
        values = state.scores.metrics if state.scores else {}
        row |= {name: defined_or_none(values.get(name)) for name in metrics}
        rows.append(row | costs_of([state.record] if state.result and state.record else []))
    return rows


def _size_rows(
    runs: Sequence[Run], states: States, labels: Sequence[str], metrics: Sequence[str]
) -> list[Row]:
    """Best method first, and of each its further tests in the suite's order."""
    size_rows: list[Row] = []
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
                row: Row = {"method": label, "input": test.title, "seeds": len(scores)}
                size_rows.append(row | _averaged(scores, metrics))
    return size_rows


def _class_row(label: str, results: Sequence[Result], metric: str) -> Row:
    values: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for name, scores in result.scores.per_class.items():
            value = scores.get(metric)
            values[name] += [] if value is None else [value]
    return {"method": label} | {name: mean(v) if v else None for name, v in values.items()}


def _or_worst(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else -1.0
