"""Several suites -> the rows that all of them have, and their average ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sobench.compare.average_rank import AverageRanks
from sobench.compare.kept_ranks import kept_or_new
from sobench.compare.leaderboard import Leaderboard, Row
from sobench.compare.reasons import by_reason
from sobench.errors import NothingToCompare, RequestError, did_you_mean
from sobench.metrics.table import Metric, ScoreMetric, score_metrics
from sobench.suite.external import external_labels
from sobench.suite.plan import Run
from sobench.suite.protocols import ANY_AREA, PROTOCOLS, Protocol
from sobench.suite.sections import MethodEntry, Suite
from sobench.text import quoted
from sobench.yaml_text import as_written


@dataclass(frozen=True)
class Ranked:
    """Average ranks by one metric.

    Attributes:
        metric: its name in every suite.
        ranks: over the suites in which the metric is defined.
        left_out: rows and suites of all the others that are not in it, with the reason.
    """

    metric: str
    ranks: AverageRanks
    left_out: dict[str, str]


@dataclass(frozen=True)
class Several:
    """What several suites say together.

    Attributes:
        suites: their names.
        tables: one for each metric.
        left_out: rows that are not the same in all suites, with the reason.
        notes: cautions.
        external: labels of the rows whose detections were made elsewhere.
    """

    suites: tuple[str, ...]
    tables: tuple[Ranked, ...]
    left_out: dict[str, str]
    notes: tuple[str, ...]
    external: tuple[str, ...] = ()


def common_rows(plans: Sequence[Sequence[Run]]) -> tuple[list[str], dict[str, str]]:
    """Labels of the rows that all suites have and that are the same in all, and why others are not.

    The same row has the same method, switches and first weights, and deviates from its suite in the
    same keys by the same values.

    Args:
        plans: of each suite, its runs.

    Raises:
        RequestError: fewer than two rows are common.
    """
    suites = [{run.entry.label: run.entry for run in runs} for runs in plans]
    names = [runs[0].suite.name for runs in plans]
    common, left_out = [], {}
    for label in dict.fromkeys(label for suite in suites for label in suite):
        without = [name for name, suite in zip(names, suites, strict=True) if label not in suite]
        entries = [suite[label] for suite in suites if label in suite]
        if without:
            left_out[label] = f"not a row of {', '.join(without)}"
        elif reason := _difference(names, entries):
            left_out[label] = reason
        else:
            common.append(label)
    if len(common) < 2:
        have = f"only {quoted(common[0])} is a row" if common else "no row is one"
        reasons = "".join(f"; {line}" for line in by_reason(left_out))
        raise RequestError(
            f"{', '.join(names)}: {have} of all of these suites, and ranks need two rows with the "
            f"same labels, switches and deviations{reasons}"
        )
    return common, left_out


def rank_suites(
    plans: Sequence[Sequence[Run]], boards: Sequence[Leaderboard], metrics: Sequence[str] = ()
) -> Several:
    """Average ranks over suites of the rows that all of them have.

    Args:
        plans: of each suite, its runs.
        boards: of each suite.
        metrics: names; without any, the one that ranks in the first suite.

    Raises:
        RequestError: fewer than two rows are common, or a metric is not one of every suite.
        NothingToCompare: fewer than two rows have results in two suites.
    """
    labels, left_out = common_rows(plans)
    suites = [runs[0].suite for runs in plans]
    names = metrics or (boards[0].metrics[0],)
    for name in names:
        check_metric(name, suites)
    scores = {
        suite.name: {str(row["method"]): row for row in board.rows}
        for suite, board in zip(suites, boards, strict=True)
    }
    tables = tuple(_ranked(name, labels, scores) for name in names)
    notes = (*_shared_data(suites, boards), *_unlike_metrics(names, suites))
    external = external_labels(run for runs in plans for run in runs)
    return Several(tuple(suite.name for suite in suites), tables, left_out, notes, external)


def check_metric(name: str, suites: Sequence[Suite]) -> None:
    """Refuse a metric that the protocol of a suite does not have; raises ``RequestError``."""
    own = [[metric.name for metric in score_metrics(PROTOCOLS[s.protocol])] for s in suites]
    common = [metric for metric in own[0] if all(metric in of_suite for of_suite in own)]
    if name in common:
        return
    lacking = (s.name for s, of_suite in zip(suites, own, strict=True) if name not in of_suite)
    raise RequestError(
        f"--metric: {quoted(name)} is not a metric of {', '.join(dict.fromkeys(lacking))};"
        f"{did_you_mean(name, common)}"
    )


def _ranked(metric: str, labels: Sequence[str], scores: Mapping[str, Mapping[str, Row]]) -> Ranked:
    """Ranks by one metric of the rows that have it everywhere where any row has it."""
    table = np.array(
        [
            [_value(of_suite, label, metric) for label in labels]
            for of_suite in scores.values()
        ]
    )  # fmt: skip
    defined, left_out = ~np.isnan(table), {}
    for name, of_suite in zip(scores, defined, strict=True):
        if not of_suite.any():
            left_out[name] = f"{metric} is undefined for every row"
    kept_suites = defined.any(axis=1)
    kept_rows = defined[kept_suites].all(axis=0)
    for index in np.flatnonzero(~kept_rows).tolist():
        empty = kept_suites & ~defined[:, index]
        places = ", ".join(name for name, is_empty in zip(scores, empty, strict=True) if is_empty)
        left_out[labels[index]] = f"no {metric} in {places}"
    if kept_suites.sum() < 2 or kept_rows.sum() < 2:
        reasons = "; ".join(by_reason(left_out))
        raise NothingToCompare(
            f"{metric}: average ranks need two rows with results in two suites ({reasons})"
        )
    rows = [label for label, kept in zip(labels, kept_rows, strict=True) if kept]
    datasets = [name for name, kept in zip(scores, kept_suites, strict=True) if kept]
    kept_scores = table[np.ix_(kept_suites, kept_rows)]
    return Ranked(metric, kept_or_new(rows, datasets, kept_scores), left_out)


def _value(rows: Mapping[str, Row], label: str, metric: str) -> float:
    """The mean over seeds; NaN if the row has no result or the metric is undefined."""
    value = rows.get(label, {}).get(metric)
    return float("nan") if value is None else float(value)


def _difference(names: Sequence[str], entries: Sequence[MethodEntry]) -> str:
    """The first thing in which rows of one label differ; empty if they are the same."""
    parts = [_parts(entry) for entry in entries]
    for key in dict.fromkeys(key for part in parts for key in part):
        if len({part.get(key) for part in parts}) > 1:
            told = [
                f"{part.get(key, 'not set')} in {n}" for n, part in zip(names, parts, strict=True)
            ]
            return f"{key}: {', '.join(told)}"
    return ""


def _parts(entry: MethodEntry) -> dict[str, str]:
    """What makes a row, key by key; two suites may be for different heads and data."""
    switches = {f"switch {key}": as_written(value) for key, value in entry.switches.items()}
    deviations = {f"deviation {key}": as_written(v) for key, v in entry.deviations.items()}
    start = {"init_from": entry.init_from} if entry.init_from else {}
    return {"method": entry.name} | switches | start | deviations


def _shared_data(suites: Sequence[Suite], boards: Sequence[Leaderboard]) -> list[str]:
    """Suites that are on one state of one data set, and so do not count as two."""
    places: dict[str, list[str]] = {}
    for suite, board in zip(suites, boards, strict=True):
        places.setdefault(board.provenance["data"], []).append(suite.name)
    return [
        f"{' and '.join(of_data)} are on the same data: they are one data set and count as "
        f"{len(of_data)}, so that differences look surer than they are"
        for of_data in places.values()
        if len(of_data) > 1
    ]


def _unlike_metrics(names: Sequence[str], suites: Sequence[Suite]) -> list[str]:
    """Metrics of one name that protocols define differently."""
    notes = []
    for name in names:
        told = {suite.name: _definition(name, suite) for suite in suites}
        if len({*told.values()}) > 1:
            meanings = ", ".join(f"{text} in {suite}" for suite, text in told.items())
            notes.append(f"{name} is not the same in all suites: {meanings}")
    return notes


def _definition(name: str, suite: Suite) -> str:
    protocol = PROTOCOLS[suite.protocol]
    (metric,) = (m for m in score_metrics(protocol) if m.name == name)
    return _meaning(metric, protocol)


def _meaning(metric: Metric, protocol: Protocol) -> str:
    if not isinstance(metric, ScoreMetric):
        return f"that of {protocol.name}"
    area = protocol.bins.get(metric.area) or (
        protocol.headline if protocol.headline != ANY_AREA else None
    )
    sides = f", {area[0] ** 0.5:g} to {area[1] ** 0.5:g} px" if area else ""
    return f"{metric.max_dets} detections{sides}"
